# SPDX-License-Identifier: GPL-2.0-only
"""Names the files that follow from the specification, and who writes each."""

from __future__ import annotations

import genspec_c
import genspec_doc
import genspec_py
from genspec_model import Spec


def outputs(spec: Spec, source: str) -> dict[str, str]:
    """Return {path below the repository: text} for the whole specification."""
    return {
        "src/kmod/uapi.h": genspec_c.header(spec, source),
        "src/natflow/kernel/uapi.py": genspec_py.constants(spec, source),
        "src/natflow/kernel/reason_text.py": genspec_py.reason_text(spec, source),
        "docs/netlink.md": genspec_doc.netlink(spec, source),
        "docs/reasons.md": genspec_doc.reasons(spec, source),
    }
