# SPDX-License-Identifier: GPL-2.0-only
"""Deriving a private sources file from whatever form the machine's own configuration has."""

import pytest
from testvm.apt import (
    AptError,
    Source,
    only_suites,
    other_suite,
    parse_deb822,
    parse_one_line,
)

ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] http://a.example/debian bookworm main contrib
deb-src http://mirror.example/debian bookworm main
 deb http://mirror.example/debian-security bookworm-security main # a remark
deb http://third.example/party stable tools
"""

DEB822 = """\
# The mirror
Types: deb deb-src
URIs: http://mirror.example/debian
# a comment between fields
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://keyed.example/debian
Suites: sid
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
"""


def test_one_line_format() -> None:
    assert parse_one_line(ONE_LINE) == [
        Source(
            ("http://a.example/debian",),
            ("bookworm",),
            ("main", "contrib"),
            "/usr/share/keyrings/k.gpg",
        ),
        Source(("http://mirror.example/debian-security",), ("bookworm-security",), ("main",)),
        Source(("http://third.example/party",), ("stable",), ("tools",)),
    ]


def test_deb822_format() -> None:
    first, keyed = parse_deb822(DEB822)
    assert first == Source(
        ("http://mirror.example/debian",),
        ("bookworm", "bookworm-updates"),
        ("main",),
        "/usr/share/keyrings/debian-archive-keyring.gpg",
    )
    assert keyed.suites == ("sid",)
    assert keyed.signed_by.splitlines()[1:3] == [" -----BEGIN PGP PUBLIC KEY BLOCK-----", " ."]


@pytest.mark.parametrize("sources", [parse_one_line(ONE_LINE), parse_deb822(DEB822)])
def test_backports_keep_mirror_and_key(sources: list[Source]) -> None:
    text = other_suite(sources, "bookworm", "bookworm-backports")
    (derived,) = parse_deb822(text)
    assert derived.uris == sources[0].uris
    assert derived.suites == ("bookworm-backports",)
    assert derived.signed_by == sources[0].signed_by


def test_embedded_key_survives() -> None:
    keyed = parse_deb822(DEB822)[1]
    assert parse_deb822(keyed.stanza("sid")) == [keyed]


def test_only_what_was_asked_for() -> None:
    text = only_suites(parse_one_line(ONE_LINE), ("bookworm", "bookworm-security"))
    assert "third.example" not in text
    assert [source.suites for source in parse_deb822(text)] == [
        ("bookworm",),
        ("bookworm-security",),
    ]


def test_no_source_is_a_clear_error() -> None:
    with pytest.raises(AptError, match="bookworm-backports is unknown"):
        other_suite([], "bookworm", "bookworm-backports")
    with pytest.raises(AptError, match="serves any of bookworm"):
        only_suites([], ("bookworm",))
