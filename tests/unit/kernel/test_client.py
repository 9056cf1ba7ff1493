# SPDX-License-Identifier: GPL-2.0-only
"""The client against a kernel that is played byte by byte."""

from __future__ import annotations

import contextlib
import errno
import inspect
import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.kernel import kernelside as k
from unit.kernel.fake import FakeKernel

from natflow.kernel import uapi
from natflow.kernel.client import Kernel
from natflow.kernel.errors import FilterError, KernelError, ModuleMissing, NoPermission
from natflow.kernel.filters import Filter, FlowTuple
from natflow.kernel.records import Counter, Flushed
from natflow.kernel.transport import Transport


class Bench:
    """A client and the sockets it opened."""

    def __init__(self, handler: k.Handler) -> None:
        self.handler = handler
        self.sockets: list[k.FakeSocket] = []

    def connect(self) -> Transport:
        sock = k.FakeSocket(self.handler)
        self.sockets.append(sock)
        return Transport(sock, timeout=0.05)

    def kernel(self) -> Kernel:
        return Kernel(self.connect)

    @property
    def requests(self) -> list[bytes]:
        """Requests to natflow, those to nlctrl left out."""
        sent = [data for sock in self.sockets for data in sock.sent]
        return [data for data in sent if k.header(data)[0] != 16]


def answering(*attrs: bytes) -> Bench:
    """Return a bench whose kernel answers every request with these attributes."""

    def handler(request: bytes) -> k.Answer:
        _, _, sequence, command = k.header(request)
        return [k.genl(command, sequence, *attrs), k.ack(sequence)]

    return Bench(k.kernel_of(handler))


def dumping(*passes: list[bytes]) -> Bench:
    """Return a bench whose kernel answers the n-th dump with the n-th list of messages."""
    left = list(passes)

    def handler(request: bytes) -> k.Answer:
        _, flags, sequence, _ = k.header(request)
        assert flags == 0x301
        parts = [data[:8] + struct.pack("=I", sequence) + data[12:] for data in left.pop(0)]
        return [*parts, k.done(sequence)]

    return Bench(k.kernel_of(handler))


def refusing(number: int, *tlvs: bytes) -> Bench:
    return Bench(k.kernel_of(lambda request: [k.nack(request, number, *tlvs)]))


def flows_message(*records: bytes, size: int = 256, flags: int = k.NLM_F_MULTI) -> bytes:
    return k.genl(4, 0, k.u32(12, size), k.tlv(13, b"".join(records)), flags=flags)


def test_config() -> None:
    bench = answering(
        k.text(2, "0.1.0"),
        k.text(3, "ingress path"),
        k.u32(4, 448),
        k.u32(5, 512),
        k.u64(6, 12345),
        k.nest(1, k.u8(1, 1), k.u32(2, 4), k.u32(3, 2000)),
    )
    config = bench.kernel().config()
    assert config.version == "0.1.0"
    assert config.features == ("ingress", "path")
    assert (config.flow_size, config.flow6_size, config.uptime_ms) == (448, 512, 12345)
    assert config.settings == {"enabled": 1, "delay_pkts": 4, "sample_interval": 2000}
    assert k.header(bench.requests[0])[::3] == (k.FAMILY, uapi.CMD_CONFIG_GET)


def test_configure_sends_all_settings_at_once() -> None:
    bench = answering()
    bench.kernel().configure({"enabled": True, "max_flows": 16, "exclude_mark": 0xFFFFFFFF})
    (request,) = bench.requests
    assert request[20:] == k.nest(1, k.u8(1, 1), k.u32(5, 16), k.u32(8, 0xFFFFFFFF))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"enabeld": 1}, "enabeld"),
        ({"enabled": 2}, "0 to 1"),
        ({"enabled": 1, "sample_interval": 99}, "100 to 10000"),
        ({"delay_pkts": -1}, "0 to 65535"),
    ],
)
def test_bad_settings_are_never_sent(settings: dict[str, int], words: str) -> None:
    bench = answering()
    with pytest.raises(FilterError, match=words):
        bench.kernel().configure(settings)
    assert bench.requests == []


def test_stats() -> None:
    bench = answering(
        k.u64(6, 99),
        k.nest(7, k.u32(1, 0), k.u64(2, 1), k.u64(3, 2)),
        k.nest(7, k.u32(1, 1), k.u64(2, 3), k.u64(3, 1 << 40)),
        k.tlv(8, struct.pack("=6I", 1, 2, 3, 4, 5, 6)),
        k.tlv(9, struct.pack("=3Q", 0, 7, 8)),
        k.tlv(10, struct.pack("=100I", *range(100))),
        k.u32(28, 7),
        k.u32(29, 8),
    )
    stats = bench.kernel().stats()
    assert stats.uptime_ms == 99
    assert stats.engines["slow"] == Counter(1, 2)
    assert stats.engines["software"] == Counter(3, 1 << 40)
    assert stats.engines["hardware"] == Counter(0, 0)
    assert stats.states == dict(zip(uapi.STATES, range(1, 7), strict=True))
    assert stats.reason_packets["disabled"] == 7
    assert stats.reason_packets["checksum"] == 0
    # A newer kernel has more reasons: they are kept under their numbers.
    assert stats.reason_flows["99"] == 99
    assert (stats.filter_ifindex, stats.shaper_ifindex) == (7, 8)


def test_counters_of_odd_length_are_an_error() -> None:
    with pytest.raises(KernelError, match="state-flows has 5 bytes"):
        answering(k.tlv(8, b"12345")).kernel().stats()


V4: dict[str, int | bytes] = {
    "id": 1,
    "family": 2,
    "l4proto": 6,
    "original_src": bytes([192, 168, 1, 2]),
    "original_dst": bytes([198, 51, 100, 1]),
    "reply_src": bytes([198, 51, 100, 1]),
    "reply_dst": bytes([203, 0, 113, 9]),
    "original_sport": 40000,
    "original_dport": 443,
    "reply_sport": 443,
    "reply_dport": 61000,
}


def test_a_flow_of_every_member() -> None:
    record = k.flow_record(
        **V4,
        bytes_0=10,
        bytes_1=1 << 50,
        packets_0=12,
        packets_1=13,
        ct_bytes_0=14,
        ct_bytes_1=15,
        ct_packets_0=16,
        ct_packets_1=17,
        rate_0=18,
        rate_1=0xFFFFFFFF,
        in_ifindex_0=20,
        in_ifindex_1=21,
        out_ifindex_0=22,
        out_ifindex_1=23,
        mark=24,
        age=25,
        idle=26,
        timeout=27,
        flags=0x11,
        vlan_0=0xFFFF,
        vlan_1=100,
        reason=uapi.REASONS.index("mtu"),
        mac=bytes.fromhex("020000000001000000000000"),
        state=2,
        tcp_state=3,
    )
    (flow,) = dumping([flows_message(record)]).kernel().flows()
    assert (flow.id, flow.family, flow.l4proto, flow.protocol) == (1, 4, 6, "tcp")
    assert (flow.src, flow.sport, flow.dst, flow.dport) == (
        "192.168.1.2",
        40000,
        "198.51.100.1",
        443,
    )
    assert (flow.reply_src, flow.reply_sport, flow.reply_dst, flow.reply_dport) == (
        "198.51.100.1",
        443,
        "203.0.113.9",
        61000,
    )
    assert (flow.bytes, flow.packets) == ((10, 1 << 50), (12, 13))
    assert (flow.ct_bytes, flow.ct_packets) == ((14, 15), (16, 17))
    assert flow.rate == (18, 0xFFFFFFFF)
    assert (flow.in_ifindex, flow.out_ifindex) == ((20, 21), (22, 23))
    assert (flow.mark, flow.age_ms, flow.idle_ms, flow.timeout_s) == (24, 25, 26, 27)
    assert flow.flags == ("snat", "proved-original")
    assert flow.vlan == (None, 100)
    assert (flow.state, flow.reason, flow.tcp_state) == ("software", "mtu", 3)
    assert flow.mac == ("02:00:00:00:00:01", "")


def test_an_ipv6_flow() -> None:
    address = bytes.fromhex("20010db8000000000000000000000001")
    record = k.flow_record(id=2, family=10, l4proto=17, original_src=address, state=1, reason=9)
    (flow,) = dumping([flows_message(record)]).kernel().flows()
    assert (flow.family, flow.protocol, flow.src, flow.dst) == (6, "udp", "2001:db8::1", "::")
    assert (flow.state, flow.reason) == ("learning", "one-direction")


def test_records_of_other_sizes() -> None:
    """A newer kernel appends members, an older one knows fewer."""
    record = k.flow_record(**V4, state=2, tcp_state=3)
    longer = flows_message(record + bytes(8), record + bytes(8), size=264)
    flows = list(dumping([longer]).kernel().flows())
    assert [flow.src for flow in flows] == ["192.168.1.2"]  # same id: one flow
    (flow,) = dumping([flows_message(record[:208], size=208)]).kernel().flows()
    assert (flow.protocol, flow.state) == ("tcp", "slow")


@pytest.mark.parametrize("size", [0, 1, 7, 215, 217, 0xFFFFFFF0])
def test_record_sizes_that_do_not_fit(size: int) -> None:
    if size == 1:
        assert list(dumping([flows_message(b"", size=1)]).kernel().flows()) == []
        return
    with pytest.raises(KernelError) as error:
        list(dumping([flows_message(k.flow_record(**V4), size=size)]).kernel().flows())
    assert error.value.errno == errno.EBADMSG


def test_repeated_ids_are_dropped() -> None:
    records = [k.flow_record(**{**V4, "id": number}) for number in (5, 6, 5, 7, 6)]
    bench = dumping([flows_message(*records[:3]), flows_message(*records[3:])])
    assert [flow.id for flow in bench.kernel().flows()] == [5, 6, 7]


def test_an_interrupted_dump_is_read_again() -> None:
    cut = flows_message(k.flow_record(**{**V4, "id": 1}), flags=k.NLM_F_MULTI | k.NLM_F_DUMP_INTR)
    whole = flows_message(k.flow_record(**{**V4, "id": 1}), k.flow_record(**{**V4, "id": 2}))
    bench = dumping([cut], [whole])
    assert [flow.id for flow in bench.kernel().flows()] == [1, 2]
    assert len(bench.requests) == 2


def test_a_table_that_never_rests_still_ends() -> None:
    cut = flows_message(k.flow_record(**V4), flags=k.NLM_F_MULTI | k.NLM_F_DUMP_INTR)
    bench = dumping([cut], [cut], [cut], [cut])
    assert [flow.id for flow in bench.kernel().flows()] == [1]
    assert len(bench.requests) == 3


def test_dumps_can_be_left_and_nested() -> None:
    message = flows_message(*(k.flow_record(**{**V4, "id": number}) for number in range(1, 4)))
    bench = dumping([message], [message])
    kernel = bench.kernel()
    outer = kernel.flows()
    assert next(outer).id == 1
    assert [flow.id for flow in kernel.flows()] == [1, 2, 3]
    outer.close()  # type: ignore[attr-defined]
    assert [sock.fileno() for sock in bench.sockets[1:]] == [-1, -1]


def test_clients() -> None:
    record = bytearray(136)
    record[:4] = bytes([192, 168, 1, 9])
    struct.pack_into("=12Q", record, 16, *range(1, 13))
    struct.pack_into("=4I", record, 112, 13, 14, 15, 16)
    record[128:134] = bytes.fromhex("0200000000ff")
    record[134] = 2
    message = k.genl(7, 0, k.u32(12, 136), k.tlv(14, bytes(record) * 2), flags=k.NLM_F_MULTI)
    (client,) = dumping([message]).kernel().clients()
    assert (client.address, client.mac, client.family) == ("192.168.1.9", "02:00:00:00:00:ff", 4)
    assert (client.slow_bytes, client.slow_packets) == ((1, 2), (3, 4))
    assert (client.software_bytes, client.software_packets) == ((5, 6), (7, 8))
    assert (client.hardware_bytes, client.hardware_packets) == ((9, 10), (11, 12))
    assert (client.rate, client.flows, client.idle_ms) == ((13, 14), 15, 16)


def test_flush_with_and_without_a_filter() -> None:
    bench = answering(k.u32(15, 7), k.u32(16, 5))
    kernel = bench.kernel()
    assert kernel.flush() == Flushed(7, 5)
    assert kernel.flush(Filter.parse({"proto": "udp"})) == Flushed(7, 5)
    assert [request[20:] for request in bench.requests] == [b"", k.nest(11, k.u8(2, 17))]


TUPLE = FlowTuple.parse(
    {"proto": "tcp", "src": "192.168.1.2", "dst": "198.51.100.1", "sport": 40000, "dport": 443}
)


def test_explain_a_learned_flow() -> None:
    mac = bytes.fromhex("020000000001")
    first = (k.u8(1, 0), k.u32(2, 5), k.u32(3, 6), k.u32(4, 7), k.u16(5, 100), k.tlv(6, mac))
    more = (k.u16(9, 200), k.u16(10, 300), k.u8(11, 1), k.u32(12, 8), k.u32(13, 9))
    bench = answering(
        k.u8(18, 2),
        k.u16(19, 0),
        k.u8(22, 1),
        k.u32(12, 256),
        k.tlv(13, k.flow_record(**V4, state=2)),
        k.nest(20, *first, k.u32(7, 1500), k.u32(8, 30), *more),
        k.nest(20, k.u8(1, 1), k.u32(4, 9)),
    )
    told = bench.kernel().explain(TUPLE)
    assert (told.state, told.reason, told.tracked) == ("software", "none", True)
    assert told.flow is not None
    assert told.flow.src == "192.168.1.2"
    path = ("original", 5, 6, 7, 100, "02:00:00:00:00:01", 1500, 30)
    assert told.paths[0] == (*path, 200, 300, "dsa", 8, 9)
    assert told.paths[1] == ("reply", 0, 0, 9, None, "", 0, 0, None, None, "ethernet", 0, 0)


def test_reprove() -> None:
    bench = answering()
    bench.kernel().reprove()
    assert [k.header(request)[3] for request in bench.requests] == [11]


def test_commits_are_not_listened_to_where_the_module_sees_them() -> None:
    assert answering(k.text(3, "ingress path ruleset-seq")).kernel().commits() is None


def test_hardware() -> None:
    bench = answering(
        k.nest(
            24,
            k.u8(1, 1),
            k.u16(2, 0),
            k.text(3, "mt7986"),
            k.text(4, "extdev-disabled"),
            *(k.u8(5, 1), k.u8(6, 1), k.u8(7, 2), k.u32(8, 12288), k.u32(9, 4), k.u32(10, 3)),
            *(k.u64(11, 9), k.u64(12, 5), k.u64(13, 2)),
            k.nest(14, k.u32(1, errno.EOPNOTSUPP), k.u32(2, 2)),
            *(k.u32(15, 200), k.u32(16, 0), k.u32(17, 812)),
        )
    )
    told = bench.kernel().hardware()
    assert (told.client, told.reason, told.profile) == (True, "none", "mt7986")
    assert (told.features, told.door, told.counters) == (("extdev-disabled",), True, True)
    assert (told.wed_version, told.capacity, told.installed, told.bound) == (2, 12288, 4, 3)
    assert (told.installs, told.destroys, told.failures) == (9, 5, 2)
    assert (told.errors, told.tokens) == ({errno.EOPNOTSUPP: 2}, 200)
    assert (told.backoff_ms, told.busy) == (0, 812)


def test_hardware_without_its_module() -> None:
    told = answering(k.nest(24, k.u8(1, 0), k.u16(2, 47))).kernel().hardware()
    assert (told.client, told.reason, told.profile, told.errors) == (False, "hw-no-client", "", {})


def test_hardware_devices() -> None:
    def device(*values: int) -> bytes:
        attrs = [k.u32(code, value) for code, value in enumerate(values, 1)]
        return k.genl(10, 0, k.nest(25, *attrs), flags=k.NLM_F_MULTI)

    kernel = dumping([device(2, 2, 0, 7), device(3, 0, errno.EOPNOTSUPP, 0)]).kernel()
    assert list(kernel.hardware_devices()) == [(2, 2, 0, 7), (3, 0, errno.EOPNOTSUPP, 0)]


def test_explain_what_nobody_knows() -> None:
    told = answering(k.u8(18, 0), k.u16(19, 36), k.u8(22, 0)).kernel().explain(TUPLE)
    assert told == ("slow", "no-flow", False, None, (), None)


def test_exceptions_that_change_while_they_are_read() -> None:
    """A message that begins with number 0 again replaces what came before."""

    def rules(first: int, *ports: int) -> bytes:
        nests = [k.nest(1, k.tlv(4, port.to_bytes(2, "big"))) for port in ports]
        attrs = [k.u32(27, first), k.nest(26, *nests)]
        return k.genl(uapi.CMD_EXCEPTION_GET, 0, *attrs, flags=k.NLM_F_MULTI)

    kernel = dumping([rules(0, 1, 2), rules(2, 3), rules(0, 7), rules(1, 8)]).kernel()
    assert [str(rule) for rule in kernel.exceptions()] == ["port 7", "port 8"]
    assert dumping([rules(0)]).kernel().exceptions() == ()


def test_a_missing_module() -> None:
    bench = Bench(lambda request: [k.nack(request, errno.ENOENT)])
    with pytest.raises(ModuleMissing) as error:
        bench.kernel()
    assert "not loaded" in str(error.value)
    assert "modprobe" in error.value.hint
    assert bench.sockets[0].fileno() == -1


def test_a_module_that_was_loaded_anew_is_found_again() -> None:
    family = [k.FAMILY]

    def handler(request: bytes) -> k.Answer:
        kind, flags, sequence, command = k.header(request)
        if kind == 16:
            return [k.family_reply(sequence, family[0]), k.ack(sequence)]
        if kind != family[0]:
            return [k.nack(request, errno.ENOENT)]
        if flags & 0x300:
            return [k.done(sequence)]
        return [k.genl(command, sequence, k.u64(6, 1), kind=kind), k.ack(sequence)]

    kernel = Bench(handler).kernel()
    assert kernel.stats().uptime_ms == 1
    family[0] += 1
    assert kernel.stats().uptime_ms == 1
    family[0] += 1
    assert list(kernel.flows()) == []


def test_a_module_that_went() -> None:
    there = [True]

    def handler(request: bytes) -> k.Answer:
        kind, _, sequence, command = k.header(request)
        if not there[0]:
            return [k.nack(request, errno.ENOENT)]
        if kind == 16:
            return [k.family_reply(sequence), k.ack(sequence)]
        return [k.genl(command, sequence), k.ack(sequence)]

    kernel = Bench(handler).kernel()
    kernel.config()
    there[0] = False
    for call in (kernel.config, kernel.stats, kernel.flush, lambda: list(kernel.flows())):
        with pytest.raises(ModuleMissing):
            call()


def test_no_permission() -> None:
    kernel = refusing(errno.EPERM).kernel()
    with pytest.raises(NoPermission) as error:
        kernel.stats()
    assert "not permitted" in str(error.value)
    assert "CAP_NET_ADMIN" in error.value.hint
    with pytest.raises(NoPermission):
        list(kernel.clients())


def test_the_kernel_s_words_and_the_attribute_at_fault() -> None:
    kernel = refusing(errno.ERANGE, k.text(1, "integer out of range"), k.u32(2, 24)).kernel()
    with pytest.raises(KernelError) as error:
        kernel.configure({"sample_interval": 100})
    assert str(error.value) == "config-set: sample-interval: integer out of range"
    assert error.value.errno == errno.ERANGE


def test_an_errno_alone_becomes_words() -> None:
    with pytest.raises(KernelError) as error:
        refusing(errno.EOPNOTSUPP).kernel().config()
    assert str(error.value) == "config-get: Operation not supported"


def test_a_closed_client() -> None:
    kernel = answering().kernel()
    with kernel:
        kernel.config()
    with pytest.raises(KernelError):
        kernel.config()


CALLS: dict[str, Callable[[Kernel], object]] = {
    "config": Kernel.config,
    "stats": Kernel.stats,
    "flush": Kernel.flush,
    "explain": lambda kernel: kernel.explain(TUPLE),
    "flows": lambda kernel: list(kernel.flows()),
    "clients": lambda kernel: list(kernel.clients()),
}

attributes = st.lists(
    st.one_of(
        st.builds(k.tlv, st.integers(0, 24), st.binary(max_size=60)),
        st.builds(
            lambda code, items: k.nest(code, *items),
            st.sampled_from([1, 7, 11, 17, 20]),
            st.lists(st.builds(k.u32, st.integers(0, 9), st.integers(0, 2**32 - 1)), max_size=3),
        ),
        st.builds(k.u32, st.sampled_from([4, 5, 12, 15, 16, 21]), st.integers(0, 500)),
        st.builds(k.u8, st.sampled_from([18, 22]), st.integers(0, 255)),
        st.builds(k.tlv, st.sampled_from([13, 14]), st.binary(min_size=256, max_size=512)),
    ),
    max_size=6,
)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@settings(max_examples=120)
@given(attrs=attributes, tail=st.binary(max_size=12))
def test_a_kernel_that_answers_nonsense(
    call: Callable[[Kernel], object], attrs: list[bytes], tail: bytes
) -> None:
    def handler(request: bytes) -> k.Answer:
        _, flags, sequence, command = k.header(request)
        end = k.done(sequence) if flags & 0x300 else k.ack(sequence)
        return [k.genl(command, sequence, *attrs) + tail, end]

    with contextlib.suppress(KernelError):
        call(Bench(k.kernel_of(handler)).kernel())


def test_the_fake_has_the_interface_of_the_real_one() -> None:
    for name, method in inspect.getmembers(Kernel, inspect.isfunction):
        if name.startswith("_"):
            continue
        real = list(inspect.signature(method).parameters)
        fake = list(inspect.signature(getattr(FakeKernel, name)).parameters)
        assert real == fake, name
