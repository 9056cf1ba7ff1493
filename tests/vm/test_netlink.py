# SPDX-License-Identifier: GPL-2.0-only
"""The netlink family: what it accepts and refuses, from whom, and where it counts."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import time
from collections.abc import Callable, Iterator

import kmodule
import pytest
from netns import Netns
from vm.rawgenl import Raw, attr, code, nest, raw, top, u8, u16, u32

from natflow.kernel import uapi
from natflow.kernel.client import Kernel
from natflow.kernel.errors import KernelError, NoPermission
from natflow.kernel.events import EventSocket
from natflow.kernel.records import Event
from natflow.kernel.transport import NLM_F_DUMP, Refusal

START = {
    "enabled": 0,
    "delay_pkts": 4,
    "sample_interval": 2000,
    "idle_timeout": 30000,
    "max_flows": 65536,
    "host_flows": 16384,
    "learn_rate": 20000,
    "exclude_mark": 0,
    "exclude_mask": 0,
    "hwnat": 1,
    "hwnat_mode": 0,
    "hwnat_wed": 0,
    "hw_min_rate": 500000,
    "hw_rate_limit": 200,
    "hw_max_flows": 0,
}
NOBODY = 65534
CLONE_NEWUSER_AND_NET = 0x50000000


@pytest.fixture
def ns() -> Iterator[Netns]:
    netns = Netns("nl")
    yield netns
    netns.remove()


@pytest.fixture
def kernel(ns: Netns) -> Iterator[Kernel]:
    with ns.call(Kernel) as client:
        yield client


@pytest.fixture
def rawgenl(ns: Netns) -> Iterator[Raw]:
    client = ns.call(Raw)
    yield client
    client.close()


def wait_events(events: EventSocket, count: int) -> list[Event]:
    """Events as they come, until there are so many; 5 seconds at the most."""
    seen: list[Event] = []
    deadline = time.monotonic() + 5
    while len(seen) < count and time.monotonic() < deadline:
        seen += events.read()
        time.sleep(0.02)
    return seen


def kernel_log() -> str:
    return subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout


# Settings


def test_start_values(kernel: Kernel) -> None:
    config = kernel.config()
    assert config.settings == START
    assert config.version
    assert {"ingress", "path"} <= set(config.features)
    # An IPv6 flow has two lines more for each direction at the most.
    assert 256 <= config.flow_size < config.flow6_size <= config.flow_size + 256
    time.sleep(0.1)
    assert config.uptime_ms + 100 <= kernel.config().uptime_ms < config.uptime_ms + 60000


@pytest.mark.parametrize("name", [name for name in START if not name.startswith("exclude")])
def test_limits(kernel: Kernel, rawgenl: Raw, name: str) -> None:
    """Both ends of the range are taken; one beyond each is refused, and nothing changes."""
    attribute = name.replace("_", "-")
    least, most = uapi.SETTINGS[name]
    width = u8 if most == 1 else u32
    for value in (least, most):
        kernel.configure({name: value})
        assert kernel.config().settings == START | {name: value}
    # Of a number that takes all values of its width there is none beyond.
    for value in {max(least - 1, 0), most + 1} - {least, 1 << 32}:
        request = top("config", u32("config", "delay-pkts", 9), width("config", attribute, value))
        if name == "delay_pkts":
            request = top("config", width("config", attribute, value))
        with pytest.raises(Refusal) as refused:
            rawgenl.send(uapi.CMD_CONFIG_SET, request)
        assert refused.value.errno == errno.ERANGE
        assert "out of range" in refused.value.text
        assert kernel.config().settings == START | {name: most}


def test_exclude_mark(kernel: Kernel) -> None:
    kernel.configure({"exclude_mark": 0x10, "exclude_mask": 0xF0})
    assert kernel.config().settings == START | {"exclude_mark": 0x10, "exclude_mask": 0xF0}
    for wrong in ({"exclude_mark": 0x11}, {"exclude_mask": 0x0F}):
        with pytest.raises(KernelError, match="exclude-mark has bits outside exclude-mask"):
            kernel.configure(wrong)
    assert kernel.config().settings == START | {"exclude_mark": 0x10, "exclude_mask": 0xF0}


def test_all_or_nothing(kernel: Kernel, rawgenl: Raw) -> None:
    """A setting that is refused late keeps the ones before it from counting."""
    request = top(
        "config",
        u8("config", "enabled", 1),
        u32("config", "max-flows", 100),
        u32("config", "exclude-mark", 1),
    )
    with pytest.raises(Refusal):
        rawgenl.send(uapi.CMD_CONFIG_SET, request)
    assert kernel.config().settings == START


def test_enable_and_disable(kernel: Kernel) -> None:
    for _ in range(5):
        kernel.configure({"enabled": 1})
        assert kernel.config().settings["enabled"] == 1
        kernel.configure({"enabled": 1, "delay_pkts": 0})
        kernel.configure({"enabled": 0})
        assert kernel.config().settings["enabled"] == 0


# What is refused

FILTER_COMMANDS = {"flow-get": (uapi.CMD_FLOW_GET, NLM_F_DUMP), "flow-flush": (5, 0)}
V4, V6 = bytes([10, 0, 0, 1]), bytes(15) + b"\1"


def prefix(*inner: bytes) -> bytes:
    return nest(code("filter", "prefix"), *inner)


BAD_FILTERS = {
    "family": (u8("filter", "family", 7), errno.EAFNOSUPPORT, "2 (IPv4) or 10 (IPv6)"),
    "state": (u8("filter", "state", len(uapi.STATES)), errno.ERANGE, "out of range"),
    "reason": (u16("filter", "reason", len(uapi.REASONS)), errno.ERANGE, "out of range"),
    "ifindex": (u32("filter", "ifindex", 0), errno.ERANGE, "out of range"),
    "mark-mask": (u32("filter", "mark-mask", 1), errno.EINVAL, "without mark"),
    "mark": (
        u32("filter", "mark", 3) + u32("filter", "mark-mask", 1),
        errno.EINVAL,
        "outside mark-mask",
    ),
    "short-mac": (raw("filter", "mac", bytes(5)), errno.ERANGE, "size out of range"),
    "long-mac": (raw("filter", "mac", bytes(7)), errno.ERANGE, "size out of range"),
    "short-number": (raw("filter", "min-age", bytes(2)), errno.EINVAL, "attribute length"),
    "long-number": (raw("filter", "min-age", bytes(8)), errno.EINVAL, "attribute length"),
    "unknown": (attr(len(uapi.ATTRS["filter"]) + 1, b""), errno.EINVAL, "Unknown attribute"),
    "no-address": (prefix(u8("prefix", "len", 8)), errno.EINVAL, "needs an address"),
    "address-length": (prefix(raw("prefix", "addr", bytes(5))), errno.EINVAL, "4 or 16 bytes"),
    "long-address": (prefix(raw("prefix", "addr", bytes(17))), errno.ERANGE, "size out of"),
    "short-address": (prefix(raw("prefix", "addr", bytes(3))), errno.ERANGE, "size out of"),
    "long-prefix": (
        prefix(raw("prefix", "addr", V4), u8("prefix", "len", 33)),
        errno.EINVAL,
        "longer than its address",
    ),
    "no-nest": (raw("filter", "prefix", raw("prefix", "addr", V4)), errno.EINVAL, "NESTED"),
    "many-prefixes": (prefix(raw("prefix", "addr", V6)) * 257, errno.E2BIG, "more than 256"),
}


@pytest.mark.parametrize("command", FILTER_COMMANDS)
@pytest.mark.parametrize("what", BAD_FILTERS)
def test_bad_filter(rawgenl: Raw, command: str, what: str) -> None:
    attrs, number, text = BAD_FILTERS[what]
    cmd, flags = FILTER_COMMANDS[command]
    with pytest.raises(Refusal) as refused:
        rawgenl.send(cmd, top("filter", attrs), flags)
    assert refused.value.errno == number, refused.value
    assert text in refused.value.text


def tuple_of(*without: str, **instead: bytes) -> bytes:
    parts = {
        "family": u8("tuple", "family", 2),
        "l4proto": u8("tuple", "l4proto", 6),
        "src": raw("tuple", "src", V4),
        "dst": raw("tuple", "dst", V4),
        "sport": raw("tuple", "sport", b"\0\1"),
        "dport": raw("tuple", "dport", b"\0\2"),
    } | instead
    return top("tuple", *(part for name, part in parts.items() if name not in without))


BAD_TUPLES = {
    "none": (b"", "needs a tuple"),
    **{
        name: (tuple_of(name), "needs family, l4proto, src and dst")
        for name in ("family", "l4proto", "src", "dst")
    },
    "sport": (tuple_of("sport"), "needs both ports"),
    "dport": (tuple_of("dport"), "needs both ports"),
    "wrong-family": (tuple_of(family=u8("tuple", "family", 1)), "2 (IPv4) or 10 (IPv6)"),
    "v6-in-v4": (tuple_of(src=raw("tuple", "src", V6)), "IPv4 address has 4 bytes"),
    "v4-in-v6": (tuple_of(family=u8("tuple", "family", 10)), "IPv6 address has 16 bytes"),
}


@pytest.mark.parametrize("what", BAD_TUPLES)
def test_bad_tuple(rawgenl: Raw, what: str) -> None:
    attrs, text = BAD_TUPLES[what]
    with pytest.raises(Refusal) as refused:
        rawgenl.send(uapi.CMD_FLOW_EXPLAIN, attrs)
    assert text in refused.value.text
    if what in ("family", "l4proto", "src", "dst", "sport", "dport"):
        assert refused.value.missing == code("tuple", what)


def test_unknown_tuple(rawgenl: Raw, kernel: Kernel) -> None:
    """Other protocols need no ports; what conntrack does not know is no error."""
    assert len(rawgenl.send(uapi.CMD_FLOW_EXPLAIN, tuple_of())) == 1
    esp = tuple_of("sport", "dport", l4proto=u8("tuple", "l4proto", 50))
    (answer,) = rawgenl.send(uapi.CMD_FLOW_EXPLAIN, esp)
    assert u8("main", "tracked", 0) in answer
    assert u16("main", "reason", uapi.REASONS.index("untracked")) in answer


def test_strictness(rawgenl: Raw) -> None:
    """Nothing that is not understood is ignored."""
    enabled = u8("config", "enabled", 0)
    cases: dict[str, Callable[[], object]] = {
        "settings lack": lambda: rawgenl.send(uapi.CMD_CONFIG_SET),
        "attribute of another command": lambda: rawgenl.send(uapi.CMD_CONFIG_GET, top("filter")),
        "attribute of another nest": lambda: rawgenl.send(uapi.CMD_CONFIG_SET, top("filter")),
        "unknown attribute": lambda: rawgenl.send(uapi.CMD_CONFIG_SET, attr(100, b"")),
        "unknown setting": lambda: rawgenl.send(uapi.CMD_CONFIG_SET, top("config", attr(77, b""))),
        "nest without its flag": lambda: rawgenl.send(
            uapi.CMD_CONFIG_SET, attr(code("main", "config"), enabled)
        ),
        "attribute in a command without any": lambda: rawgenl.send(
            uapi.CMD_STATS_GET, attr(1, b"")
        ),
        "attribute in a dump without any": lambda: rawgenl.send(
            uapi.CMD_CLIENT_GET, attr(1, b""), NLM_F_DUMP
        ),
        "bytes behind the attributes": lambda: rawgenl.send(
            uapi.CMD_CONFIG_SET, top("config", enabled) + b"\1\0\0\0"
        ),
        "reserved field": lambda: rawgenl.send(uapi.CMD_CONFIG_GET, reserved=1),
        "odd flag": lambda: rawgenl.send(uapi.CMD_CONFIG_GET, flags=0x100),
    }
    for what, request in cases.items():
        with pytest.raises(Refusal) as refused:
            request()
        assert refused.value.errno == errno.EINVAL, what
        assert refused.value.text, what
    for command in (uapi.CMD_EVENT, 0, 77):
        with pytest.raises(Refusal) as refused:
            rawgenl.send(command)
        assert refused.value.errno == errno.EOPNOTSUPP


# Who may, and where it counts


def in_child(function: Callable[[], object]) -> str:
    """What a child process that runs the function says: "" or its exception."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        text = ""
        try:
            function()
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


def test_needs_net_admin(ns: Netns) -> None:
    def refused(request: Callable[[Kernel], object]) -> Callable[[], None]:
        def attempt() -> None:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            with Kernel() as kernel, pytest.raises(NoPermission):
                request(kernel)

        return attempt

    requests: dict[str, Callable[[Kernel], object]] = {
        "config": lambda kernel: kernel.config(),
        "configure": lambda kernel: kernel.configure({"enabled": 1}),
        "stats": lambda kernel: kernel.stats(),
        "flows": lambda kernel: list(kernel.flows()),
        "flush": lambda kernel: kernel.flush(),
        "clients": lambda kernel: list(kernel.clients()),
        "events": lambda kernel: kernel.events(),
        "flow events": lambda kernel: kernel.events(flows=True),
    }
    with ns.entered():
        for what, request in requests.items():
            assert in_child(refused(request)) == "", what


def test_owner_of_a_namespace_may() -> None:
    """CAP_NET_ADMIN in the user namespace that owns the network namespace is enough."""

    def own() -> None:
        os.setresuid(NOBODY, NOBODY, NOBODY)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWUSER_AND_NET):
            raise OSError(ctypes.get_errno(), "unshare")
        with Kernel() as kernel:
            kernel.configure({"enabled": 1, "max_flows": 99})
            assert kernel.config().settings["max_flows"] == 99
            kernel.events(flows=True).close()

    assert in_child(own) == ""


def test_namespaces_are_separate(kernel: Kernel) -> None:
    other = Netns("nl2")
    try:
        with other.call(Kernel) as second:
            events, strange = kernel.events(), second.events()
            kernel.configure({"max_flows": 1234})
            assert second.config().settings == START
            kernel.flush()
            seen = wait_events(events, 2)
            assert [event.kind for event in seen] == ["config", "flush"]
            assert seen[0].settings == START | {"max_flows": 1234}
            assert seen[1].flushed == (0, 0)
            assert strange.read() == []
            events.close()
            strange.close()
    finally:
        other.remove()


# Module parameters


@pytest.fixture
def unloaded() -> Iterator[None]:
    kmodule.unload()
    yield
    if kmodule.loaded():
        kmodule.unload()
    kmodule.load()


@pytest.mark.usefixtures("unloaded")
def test_parameters_are_start_values() -> None:
    early = Netns("nl")
    kmodule.load(enabled=1, delay_pkts=0, exclude_mark=1, exclude_mask=3)
    wanted = START | {"enabled": 1, "delay_pkts": 0, "exclude_mark": 1, "exclude_mask": 3}
    late = Netns("nl2")
    try:
        for netns in (early, late):
            with netns.call(Kernel) as kernel:
                assert kernel.config().settings == wanted
    finally:
        early.remove()
        late.remove()


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("enabled=2", "parameter enabled=2: must be 0 to 1"),
        ("idle_timeout=5", "parameter idle_timeout=5: must be 1000 to 600000"),
        ("learn_rate=1000001", "parameter learn_rate=1000001: must be 1 to 1000000"),
        ("delay_pkts=x", "`x' invalid for parameter `delay_pkts'"),
    ],
)
def test_bad_parameter(parameter: str, message: str) -> None:
    result = subprocess.run(
        ["insmod", str(kmodule.path()), parameter], capture_output=True, text=True, check=False
    )
    assert result.returncode
    assert not kmodule.loaded()
    assert f"natflow: {message}" in kernel_log()
