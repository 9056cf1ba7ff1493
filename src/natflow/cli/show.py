# SPDX-License-Identifier: GPL-2.0-only
"""The replies of the daemon as text, at most 80 columns wide."""

from __future__ import annotations

from natflow.cli.text import (
    WIDTH,
    bits,
    clean,
    endpoint,
    seconds,
    share,
    short,
    size,
    spaced,
    wrapped,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Reply = dict[str, Any]

LABEL = 12  # columns of the names in front of status and info
REASONS_SHOWN = 10

#: Of a number that holds what hardware without counters has forwarded; and how far off it is.
ESTIMATED = "  estimated"
BOUND = "their bytes are estimates, the truth is from 0 to what the link carries"
#: Reasons of the hardware that say nothing about one flow, or end by themselves.
USUAL = ("none", "hw-off", "hw-no-client", "hw-no-door", "hw-cpu", "hw-rate", "hw-unproved")


def _field(name: str, text: str) -> list[str]:
    return wrapped(text, f"{name:<{LABEL}}")


def status(reply: Reply) -> list[str]:
    """What is on, what it does, and everything that is wrong."""
    lines = [f"natflow {clean(reply['version'])}: {clean(reply['state'])}"]
    if reply["message"]:
        lines += wrapped(reply["message"], "  ")
    lines.append("")
    module = reply["module"]
    if module["loaded"]:
        words = [module["name"]]
        if module["version"]:
            words.append(f"version {module['version']}")
        if reply["uptime"] is not None:
            words.append(f"counting for {seconds(reply['uptime'])}")
        lines += _field("module", ", ".join(words))
    else:
        lines += _field("module", "not loaded")
    lines += _field("enabled", "yes" if reply["enabled"] else "no")
    flows = reply["flows"]
    if not module["tells"] and module["loaded"]:
        return [*lines, *_engines(reply), *_field("note", module["note"]), *_problems(reply)]
    states = ("software", "hardware", "wed", "hw_pending", "learning", "slow")
    listed = ", ".join(f"{flows[state]} {state.replace('_', '-')}" for state in states)
    lines += _field("flows", f"{flows['total']}: {listed}")
    lines += _engines(reply)
    lines += ["", f"{'ENGINE':<{LABEL}}{'PACKETS':>10}{'BYTES':>12}{'SHARE':>9}"]
    total = sum(reply["bytes"].values())
    for name, count in reply["bytes"].items():
        packets = short(reply["packets"][name])
        part = share(count, total)
        mark = ESTIMATED if count and name == "hardware" and reply["hwnat"]["estimated"] else ""
        lines.append(f"{clean(name):<{LABEL}}{packets:>10}{size(count):>12}{part:>9}{mark}")
    return [*lines, *_reasons(reply), *_problems(reply)]


def _engines(reply: Reply) -> list[str]:
    """The engines of the hardware, a line each."""
    lines = []
    for name in ("hwnat", "wed"):
        engine = reply[name]
        words = [
            "active" if engine["active"] else "not active",
            "switched on" if engine["configured"] else "switched off",
        ]
        if engine["reboot_required"]:
            words.append("needs a reboot")
        lines += _field(name, f"{', '.join(words)}. {engine['reason']}")
        if engine.get("installed"):
            lines += _field("", _table(engine))
    return lines


def _problems(reply: Reply) -> list[str]:
    """Conflicts, errors and warnings."""
    lines = []
    for conflict in reply["conflicts"]:
        lines += ["", *wrapped(conflict["text"], "conflict: ")]
        lines += wrapped(conflict["hint"], "          ")
    for problem in (*reply["config_errors"], *reply["config_warnings"]):
        lines += ["", *wrapped(problem["text"], f"{problem['severity']}: ")]
    return lines


def _table(engine: Reply) -> str:
    """How full the engine's table is: in directions, of which a flow has two."""
    text = f"{engine['bound']} directions of flows in its table of {engine['capacity']}"
    waiting = engine["installed"] - engine["bound"]
    text += f", {waiting} more handed over" if waiting else ""
    return f"{text}; {BOUND}" if engine["estimated"] else text


def _reasons(reply: Reply) -> list[str]:
    """The reasons that keep the most packets on the normal stack."""
    counts: dict[str, int] = reply["reasons"]
    if not counts:
        return []
    from natflow.reasons import reason

    lines = ["", f"{'PACKETS':>7} {'FLOWS':>6}  NOT ACCELERATED BECAUSE"]
    ordered = sorted(counts, key=lambda name: counts[name], reverse=True)
    for name in ordered[:REASONS_SHOWN]:
        flows = short(reply["reason_flows"].get(name, 0))
        head = f"{short(counts[name]):>7} {flows:>6}  "
        try:
            text = f"{name}: {reason(name).sentence}"
        except KeyError:  # a daemon newer than this command
            text = name
        lines += wrapped(text, head)
    if len(ordered) > REASONS_SHOWN:
        lines.append(f"{'':16}and {len(ordered) - REASONS_SHOWN} more: natflow --json status")
    return lines


def info(reply: Reply) -> list[str]:
    """Versions, what the module was built with, and the settings in force."""
    module = f"{reply['module']} {reply['module_version']}".strip() or "missing"
    lines = _field("natflow", f"{reply['version']}, module {module}")
    lines += _field("kernel", f"{reply['kernel']} {reply['machine']}")
    lines += _field("SoC", reply["soc"] or "none with a known acceleration engine")
    hardware = reply["hardware"]
    if hardware["variants"] or hardware["loaded"]:
        lines += _field("hardware", _hardware(hardware))
    lines += _field("features", " ".join(reply["build_options"]) or "-")
    able = [name for name, have in reply["capabilities"].items() if have]
    lines += _field("can do", ", ".join(able) or "-")
    memory = reply["memory_per_flow"]
    if memory["ipv4"] is not None:
        lines += _field("memory", f"{memory['ipv4']} B a flow, {memory['ipv6']} B with IPv6")
    lines += _field("config", reply["config_file"])
    backends = reply["backends"]
    text = f"pid {reply['pid']}, Python {reply['python']}, bus {backends['bus']}"
    lines += _field(
        "daemon", f"{text}, UCI {backends['uci']}, kernel {backends['kernel'] or 'nothing'}"
    )
    lines += ["", "SETTINGS"]
    for name, value in reply["settings"].items():
        shown = ("no", "yes")[value] if isinstance(value, bool) else value
        if value is None:
            shown = "not there in this module"
        lines.append(f"  {clean(name):<18}{clean(shown) or '-'}")
    return lines


def _hardware(hardware: Reply) -> str:
    """The packages for hardware, and what their module has found."""
    names = ", ".join(f"kmod-natflow-{name}" for name in hardware["variants"]) or "no package"
    fits = "" if hardware["fits"] else " (not for this chip)"
    if not hardware["loaded"]:
        return f"{names}{fits}, its module is not loaded"
    words = [
        f"{names}{fits}",
        f"profile {hardware['profile'] or 'none'}",
        "a door" if hardware["door"] else "no door",
        f"room for {hardware['capacity']} directions",
        "counts" if hardware["counters"] else "does not count",
        f"WED {hardware['wed_version']}" if hardware["wed_version"] else "no WED",
        *hardware["build_options"],
    ]
    return ", ".join(words)


def flows(reply: Reply) -> list[str]:
    """One flow a line, two where the addresses are long; why it is not accelerated below it.

    The rates stand under the arrow of their direction: to the destination, and back.
    """
    if not reply["flows"]:
        return ["No flows." if not reply["total"] else f"No flows here, of {reply['total']}."]
    lines = [f"{'STATE':<10} {'PROT':<4} {'->':>5} {'<-':>5}  SOURCE -> DESTINATION (bit/s)"]
    for row in reply["flows"]:
        there, back = (bits(rate) for rate in row["rate"])
        head = f"{clean(row['state']):<10} {clean(row['proto']):<4} {there:>5} {back:>5}  "
        source = clean(endpoint(row["src"], row["sport"]))
        target = clean(endpoint(row["dst"], row["dport"]))
        if len(head) + len(source) + 4 + len(target) <= WIDTH:
            lines.append(f"{head}{source} -> {target}")
        else:
            lines += [head + source, f"{'':{len(head) - 3}}-> {target}"]
        if row["reason"] != "none":
            lines.append(f"{'':11}why: {clean(row['reason'])}")
        lines += [f"{'':11}{text}" for text in _in_hardware(row)]
    shown, total = len(reply["flows"]), reply["total"]
    if shown < total:
        first = reply["offset"] + 1
        lines.append(f"{first} to {first + shown - 1} of {total}, by {clean(reply['sort'])}")
    else:
        lines.append(f"{total} {'flow' if total == 1 else 'flows'}")
    return lines


def _in_hardware(row: Reply) -> list[str]:
    """The way of a flow that the hardware has or refuses, and why not all of it."""
    lines = []
    if any(state != "none" for state in row["hw_state"]):
        lines.append(f"path: {', '.join(map(clean, row['drawing']))}")
    words = [
        " ".join(filter(None, (reason, error)))
        for reason, error in zip(row["hw_reason"], row["hw_error"], strict=True)
        if reason not in USUAL
    ]
    if words:
        lines.append(f"hardware: {', '.join(map(clean, dict.fromkeys(words)))}")
    return lines


def clients(reply: Reply) -> list[str]:
    """One host a line, its further addresses below it."""
    if not reply["clients"]:
        return ["No clients."]
    lines = [f"{'HOST':<45}{'FLOWS':>6}{'UP':>6}{'DOWN':>6}{'TOTAL':>10}{'FAST':>6}"]
    for row in reply["clients"]:
        names = [clean(name) for name in (row["name"], *row["addresses"]) if name]
        engines = {name: pair["up"] + pair["down"] for name, pair in row["bytes"].items()}
        total = sum(engines.values())
        fast = share(total - engines["slow"], total)
        up, down = bits(row["rate"]["up"]), bits(row["rate"]["down"])
        head = names[0][:44]
        mark = ESTIMATED if row["estimated"] else ""
        line = f"{head:<45}{row['flows']:>6}{up:>6}{down:>6}{size(total):>10}{fast:>6}{mark}"
        lines.append(line)
        lines += [f"  {name}" for name in names[1:]]
    shown, total = len(reply["clients"]), reply["total"]
    hosts = "host" if total == 1 else "hosts"
    lines.append(f"{total} {hosts}" if shown == total else f"{shown} of {total} hosts")
    return lines


def explain(reply: Reply) -> list[str]:
    """State, reason, what to do, and the way the packets take."""
    lines = _field("state", f"{reply['state']}: {reply['summary']}")
    lines += _field("reason", f"{reply['reason']}: {reply['sentence']}")
    lines += _field("hint", reply["hint"])
    if reply["exception"]:
        lines += _field("exception", clean(reply["exception"]))
    for path in reply["path"]:
        lines += _field(path["direction"], path["text"])
        proved = f"proved {path['proved'] / 1000:.1f} s ago"
        lines += _field("", f"MTU {path['mtu']}, {proved}" if path["mtu"] else proved)
        if path["drawing"]:
            lines += _field("", path["drawing"])
        lines += _direction(path["hardware"])
    row = reply.get("flow")
    if row:
        hard = sum(row["hw_bytes"])
        fast, total = sum(row["bytes"]) + hard, sum(row["total_bytes"])
        text = f"{size(fast)} accelerated" + (f" of {size(total)}" if total else "")
        if hard:
            about = "about " if any(row["estimated"]) else ""
            text += f", {about}{size(hard)} by the hardware"
        there, back = (spaced(rate * 8, "bit/s") for rate in row["rate"])
        lines += _field("traffic", text)
        lines += _field("rate", f"{there} there, {back} back")
        age = f"learned {seconds(row['age'] // 1000)} ago"
        idle = f"idle for {row['idle'] / 1000:.1f} s"
        lines += _field("age", f"{age}, {idle}, conntrack drops it in {row['timeout']} s")
    return lines


def _direction(hardware: Reply | None) -> list[str]:
    """Why one direction is not in the hardware; nothing when it is, or when it is slow."""
    if hardware is None or hardware["reason"] == "none":
        return []
    lines = wrapped(f"{hardware['reason']}: {hardware['sentence']}", f"{'':{LABEL}}hardware: ")
    if hardware["error"]:
        lines += wrapped(f"{hardware['error']}: {hardware['error_text']}", " " * (LABEL + 10))
    return lines + wrapped(hardware["hint"], " " * (LABEL + 10))


def flush(reply: Reply) -> list[str]:
    """How many flows went."""
    removed = reply["removed"]
    if removed is None:
        return ["All flows are to be forgotten; how many, this module does not tell."]
    return [
        f"Removed {removed} {'flow' if removed == 1 else 'flows'}, "
        f"{reply['accelerated']} of them accelerated. Their connections go on."
    ]


def changed(reply: Reply) -> list[str]:
    """What a set changed, and how long it lasts."""
    if not reply["changed"]:
        return ["Nothing changed: it was so already."]
    lines = [f"{clean(name)} = {clean(value)}" for name, value in reply["changed"].items()]
    return [*lines, "In force until the next reload; /etc/config/natflow was not written."]
