# SPDX-License-Identifier: GPL-2.0-only
"""Reason codes for people."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from natflow.kernel import uapi
from natflow.kernel.reason_text import TEXT
from natflow.reasons import reason


def test_every_code_has_name_sentence_and_hint() -> None:
    assert len(TEXT) == len(uapi.REASONS)
    for code, name in enumerate(uapi.REASONS):
        told = reason(code)
        assert (told.code, told.name) == (code, name)
        assert told.sentence.endswith(".")
        assert told.hint
        assert reason(name) == told


def test_both_spellings() -> None:
    assert reason("table_full") == reason("table-full")
    assert reason("table-full").name == "table-full"


@pytest.mark.parametrize("code", [len(uapi.REASONS), 60000, -1])
def test_codes_of_a_newer_module(code: int) -> None:
    told = reason(code)
    assert told.code == code
    assert str(code) in told.sentence
    assert "Update" in told.hint


def test_names_as_the_client_makes_them_for_unknown_codes() -> None:
    assert reason("60000") == reason(60000)


def test_names_that_do_not_exist() -> None:
    with pytest.raises(KeyError):
        reason("bad-luck")


def test_sentences_are_loaded_when_asked_for() -> None:
    source = Path(__file__).resolve().parents[3] / "src"
    code = "import sys, natflow.reasons; print('natflow.kernel.reason_text' in sys.modules)"
    command = [sys.executable, "-c", code]
    out = subprocess.run(
        command, env={"PYTHONPATH": str(source)}, capture_output=True, text=True, check=True
    )
    assert out.stdout == "False\n"
