# SPDX-License-Identifier: GPL-2.0-only
"""Prints what scripts/demo measured, and judges it: usage demo_report.py RESULT.json"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

LEAST_FAST_SHARE = 0.95
LARGEST_ERROR = 0.001


def error(result: dict[str, Any], name: str) -> float:
    """Difference from what the endpoints sent, as a share of it."""
    sent: int = result["sent_bytes"]
    counted: int = result[name]
    return abs(counted - sent) / sent


def verdicts(result: dict[str, Any]) -> list[tuple[str, bool]]:
    return [
        (
            f"fast path carried {result['fast_share']:.1%} of the bulk packets"
            f" (at least {LEAST_FAST_SHARE:.0%})",
            result["fast_share"] >= LEAST_FAST_SHARE,
        ),
        *(
            (
                f"{counter} counted within {LARGEST_ERROR:.1%} of what was sent"
                f" ({error(result, name):.4%} off)",
                error(result, name) <= LARGEST_ERROR,
            )
            for counter, name in (("natflow", "natflow_bytes"), ("conntrack", "conntrack_bytes"))
        ),
    ]


def report(result: dict[str, Any]) -> str:
    ratio = result["fast_mbps"] / result["slow_mbps"]
    rows = [
        ("bytes sent by the endpoints", f"{result['sent_bytes']:,}"),
        ("bytes counted by natflow", f"{result['natflow_bytes']:,}"),
        ("bytes counted by conntrack", f"{result['conntrack_bytes']:,}"),
        ("packets that took the fast path", f"{result['fast_share']:.2%}"),
        ("throughput on the slow path", f"{result['slow_mbps']:,.1f} Mbit/s"),
        ("throughput on the fast path", f"{result['fast_mbps']:,.1f} Mbit/s ({ratio:.2f} times)"),
    ]
    lines = [
        f"natflow on Linux {result['kernel']}, an emulated machine: compare ratios only",
        "",
        "ubus call natflow status",
        json.dumps(result["status"], indent="\t"),
        "",
        "natflow flows",
        result["flows_text"].rstrip(),
        "",
        *(f"{name:<34}{value:>30}" for name, value in rows),
        "",
        *(f"{'ok' if good else 'FAILED':<8}{text}" for text, good in verdicts(result)),
    ]
    return "\n".join(lines)


def main() -> int:
    result = json.loads(Path(sys.argv[1]).read_text())
    print(report(result))
    return 0 if all(good for _, good in verdicts(result)) else 1


if __name__ == "__main__":
    sys.exit(main())
