# SPDX-License-Identifier: GPL-2.0-only
"""Prints what scripts/bench measured: ratios, and how they were taken."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

TRAFFIC = {"udp": "UDP 60 B", "tcp": "TCP 1514 B", "super": "TCP 16x1448 B"}
HOW = """\
Each way forwards the same packets from one simulated network card to another, translated, in a
namespace of its own; what a packet costs before that (generator) is taken off. "slow" is the
normal stack without natflow. "burden" is what natflow costs a packet that it leaves to the normal
stack, as a share of slow. Smaller is better. Median of {rounds} rounds of {packets} packets.
"""
COUNTED = "Counted: instructions of one processor (QEMU icount), repeatable to about 1 %."
TIMED = "Timed in an emulated guest: good for rough comparison only."


def table(result: dict[str, Any], counted: bool) -> str:
    """The lines of the table; with counted instructions, how many each way takes as well."""
    head = f"{'traffic':14}{'flows':>6}  {'natflow/slow':>12} {'flowtable/slow':>14}"
    head += f" {'natflow/flowtable':>17} {'burden':>7}"
    lines = [head]
    for line in result["lines"]:
        cost = {way: ns - line["ns"]["generator"] for way, ns in line["ns"].items()}
        lines.append(
            f"{TRAFFIC[line['traffic']]:14}{line['flows']:>6}"
            f"  {cost['natflow'] / cost['slow']:>12.2f} {cost['flowtable'] / cost['slow']:>14.2f}"
            f" {cost['natflow'] / cost['flowtable']:>17.2f}"
            f" {cost['idle'] / cost['slow'] - 1:>+7.0%}"
        )
    if not counted:
        return "\n".join(lines)
    lines += ["", f"{'instructions':14}{'flows':>6}  {'slow':>8} {'flowtable':>10} {'natflow':>9}"]
    for line in result["lines"]:
        cost = {way: ns - line["ns"]["generator"] for way, ns in line["ns"].items()}
        lines.append(
            f"{TRAFFIC[line['traffic']]:14}{line['flows']:>6}"
            f"  {cost['slow']:>8.0f} {cost['flowtable']:>10.0f} {cost['natflow']:>9.0f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--timed", action="store_true")
    parser.add_argument("result", type=Path)
    options = parser.parse_args()
    result = json.loads(options.result.read_text())
    print(f"Linux {result['kernel']}\n")
    print(table(result, not options.timed))
    print()
    print(HOW.format(**result) + (TIMED if options.timed else COUNTED))


if __name__ == "__main__":
    main()
