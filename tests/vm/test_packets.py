# SPDX-License-Identifier: GPL-2.0-only
"""Odd packets in the middle of an accelerated flow, one by one: what becomes of each, and what
natflow says about it. The flow itself stays accelerated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from lab import LAN4, LAN6, WAN4, WAN6, Lab
from vm.craft import (
    ACK,
    ETH_LEN,
    FIN,
    MF,
    PSH,
    RST,
    SYN,
    TCP,
    UDP,
    Frame,
    fragments,
    mac_bytes,
    patched,
    reassembled,
    with_header_check,
)
from vm.ghosts import BACK, OUT, RULES, GhostFlow, Ghosts

SIDES = pytest.mark.parametrize("side", [OUT, BACK], ids=["out", "back"])
TCP_CONNTRACK_ESTABLISHED = 3  # include/uapi/linux/netfilter/nf_conntrack_tcp.h
VERSIONS = pytest.mark.parametrize("version", [4, 6])
PROTOCOLS = pytest.mark.parametrize("proto", [UDP, TCP], ids=["udp", "tcp"])
SMALL_MTU = 1400


@pytest.fixture(scope="module")
def ghosts() -> Iterator[Ghosts]:
    lab = Lab(rules=RULES)
    ghosts = Ghosts(lab)
    yield ghosts
    ghosts.close()
    lab.remove()


@contextmanager
def left_to_the_stack(flow: GhostFlow, side: int, reason: str, packets: int = 1) -> Iterator[None]:
    """No packet of the block takes the fast path, each counts once for the reason, and the flow
    is as fast after it as before."""
    kernel = flow.lab.kernel
    flow.prime()
    fast, counted = flow.fast(side), kernel.stats().reason_packets[reason]
    yield
    assert flow.fast(side) == fast, "the fast path took it"
    assert kernel.stats().reason_packets[reason] - counted == packets
    flow.send_fast(side, flow.packet(side, payload=b"after"))


def assert_icmp(
    error: Frame | None, flow: GhostFlow, side: int, type_code: tuple[int, int], sent: bytes
) -> Frame:
    """The error comes from the router and quotes the packet as its sender sent it."""
    assert error, "no ICMP error came back"
    routers = {OUT: (LAN4, LAN6), BACK: (WAN4, WAN6)}
    version = flow.sides[side].template.version
    assert error.src == routers[side][version == 6]
    assert (error.l4[0], error.l4[1]) == type_code
    quoted = error.l4[8:]
    addresses_and_ports = slice(12, 24) if version == 4 else slice(8, 44)
    assert quoted[addresses_and_ports] == sent[addresses_and_ports]
    return error


@SIDES
@VERSIONS
def test_ttl_one(ghosts: Ghosts, version: int, side: int) -> None:
    """It ends here, and its sender hears of it: traceroute works inside an accelerated flow."""
    flow = ghosts.flow(version, UDP, "masqueraded")
    packet = flow.packet(side, ttl=1, payload=b"last")
    with left_to_the_stack(flow, side, "ttl"):
        flow.sides[side].egress.drain()
        flow.sides[side].ingress.drain()
        flow.send(side, packet)
        exceeded = (11, 0) if version == 4 else (3, 0)
        assert_icmp(flow.icmp(side), flow, side, exceeded, packet.ip())
        assert not [f for f in flow.sides[side].egress.drain() if flow.is_mine(side, f)]


@SIDES
@PROTOCOLS
@VERSIONS
def test_fragments(ghosts: Ghosts, version: int, proto: int, side: int) -> None:
    """What was sent in fragments arrives whole, translated, with a right checksum."""
    flow = ghosts.flow(version, proto, "masqueraded")
    packet = flow.packet(side, payload=bytes(range(256)) * 12 + b"odd", frag=0)
    cut = fragments(packet.ip(), 1200, 0x1234)
    assert len(cut) == 3
    with left_to_the_stack(flow, side, "fragment"):
        egress = flow.sides[side].egress
        egress.drain()
        for part in cut:
            flow.send(side, part)
        want = flow.sides[not side].template
        came = egress.collect(lambda f: (f.src, f.dst) == (want.dst, want.src), 3)
        whole = reassembled(came)
        assert flow.is_mine(side, whole)
        assert whole.payload == packet.payload
        whole.assert_sums()
    assert len(came) >= 3


@SIDES
def test_ipv4_options(ghosts: Ghosts, side: int) -> None:
    """Options arrive as they were sent, and the packet is translated."""
    flow = ghosts.flow(4, UDP, "masqueraded")
    every = [b"\x01" * 4, b"\x94\x04\x00\x00", b"\x01" * 40]  # no-operation, router alert
    with left_to_the_stack(flow, side, "ip-options", len(every)):
        packets = [flow.packet(side, options=options, payload=b"optional") for options in every]
        for options, frame in zip(every, flow.exchange(side, packets), strict=True):
            assert frame.ip[20 : 20 + len(options)] == options
            assert frame.payload == b"optional"
            frame.assert_sums()


@SIDES
@pytest.mark.parametrize("number", [60, 0], ids=["destination", "hop-by-hop"])
def test_ipv6_extension_header(ghosts: Ghosts, number: int, side: int) -> None:
    flow = ghosts.flow(6, UDP, "masqueraded")
    # Six bytes of padding (RFC 8200, 4.2).
    packet = flow.packet(
        side, extension=(number, b"\0\0\x01\x04\0\0\0\0"), payload=b"behind an extension header"
    )
    with left_to_the_stack(flow, side, "ip-options"):
        egress = flow.sides[side].egress
        egress.drain()
        flow.send(side, packet)
        came = egress.collect(lambda f: f.data.endswith(packet.payload), 1)
    assert came
    frame = came[0]
    assert frame.proto == number
    # The same without its extension header is a packet of the flow with a right checksum.
    bare = patched(frame.ip[:40], 4, (len(frame.l4) - 8).to_bytes(2, "big") + b"\x11")
    plain = Frame(frame.data[:ETH_LEN] + bare + frame.l4[8:], frame.offload, frame.time)
    assert flow.is_mine(side, plain)
    plain.assert_sums()


@pytest.fixture
def small_wan(ghosts: Ghosts) -> Iterator[Ghosts]:
    ghosts.lab.r.ip(f"link set wan mtu {SMALL_MTU}")
    yield ghosts
    ghosts.lab.r.ip("link set wan mtu 1500")


@PROTOCOLS
@VERSIONS
def test_mtu(small_wan: Ghosts, version: int, proto: int) -> None:
    """What fits is fast; what does not is reported to its sender with the MTU that would."""
    flow = small_wan.flow(version, proto, "masqueraded")
    room = SMALL_MTU - len(flow.packet(OUT).ip())
    fitting = flow.packet(OUT, payload=bytes(room))
    before = flow.fast(OUT)
    assert len(flow.exchange(OUT, [fitting])[0].ip) == SMALL_MTU
    assert flow.fast(OUT) == before + 1

    too_big = [flow.packet(OUT, payload=bytes(room + 1))]
    if proto == TCP:
        too_big.append(
            flow.packet(OUT, payload=bytes(4 * room), gso_size=room + 1, check="partial")
        )
    for packet in too_big:
        with left_to_the_stack(flow, OUT, "mtu"):
            flow.sides[OUT].ingress.drain()
            flow.sides[OUT].egress.drain()
            flow.send(OUT, packet)
            sent = packet.ip()
            reported = (3, 4) if version == 4 else (2, 0)
            error = assert_icmp(flow.icmp(OUT), flow, OUT, reported, sent)
            at = slice(6, 8) if version == 4 else slice(4, 8)
            assert int.from_bytes(error.l4[at], "big") == SMALL_MTU
            assert not [f for f in flow.sides[OUT].egress.drain() if f.version == version]
    # A super-packet whose segments fit is forwarded whole.
    if proto == TCP:
        before = flow.fast(OUT)
        packet = flow.packet(OUT, payload=bytes(4 * room), gso_size=room, check="partial")
        frame = flow.exchange(OUT, [packet])[0]
        assert (len(frame.payload), frame.offload.gso_size) == (4 * room, room)
        assert flow.fast(OUT) == before + 1


def test_mtu_without_df(small_wan: Ghosts) -> None:
    """The router cuts it up, and it arrives."""
    flow = small_wan.flow(4, UDP, "masqueraded")
    packet = flow.packet(OUT, payload=bytes(range(250)) * 5 + bytes(200), frag=0, ident=77)
    assert len(packet.ip()) == 1478
    with left_to_the_stack(flow, OUT, "mtu"):
        egress = flow.sides[OUT].egress
        egress.drain()
        flow.send(OUT, packet)
        came = egress.collect(lambda f: f.version == 4 and f.src == WAN4, 2)
        whole = reassembled(came)
        assert flow.is_mine(OUT, whole)
        assert whole.payload == packet.payload
        whole.assert_sums()
    assert len(came) == 2 and int.from_bytes(came[0].ip[6:8], "big") & MF


def test_udp_checksum_zero(ghosts: Ghosts) -> None:
    """A datagram without checksum gets none (RFC 768), and is translated all the same."""
    flow = ghosts.flow(4, UDP, "masqueraded")
    for side in (OUT, BACK):
        before = flow.fast(side)
        frame = flow.exchange(side, [flow.packet(side, check="none", payload=b"unchecked")])[0]
        assert frame.l4_check == 0
        assert frame.payload == b"unchecked"
        assert frame.src == (WAN4 if side == OUT else flow.sides[OUT].template.dst)
        assert flow.fast(side) == before + 1


@VERSIONS
def test_padding_is_trimmed(ghosts: Ghosts, version: int) -> None:
    """Ethernet's least frame is longer than a small packet; the filling is not forwarded."""
    flow = ghosts.flow(version, UDP, "masqueraded")
    before = flow.fast(OUT)
    packet = flow.packet(OUT, payload=b"x")
    frame = flow.exchange(OUT, [packet.ip() + b"secret of the sender's memory"])[0]
    assert len(frame.data) == ETH_LEN + len(packet.ip())
    frame.assert_sums()
    assert flow.fast(OUT) == before + 1


def malformed(flow: GhostFlow, version: int, proto: int) -> dict[str, bytes]:
    whole = flow.packet(OUT, payload=b"malformed").ip()
    l4 = 20 if version == 4 else 40
    made = {
        "no transport header": whole[: l4 + 4],
        "half an IP header": whole[: l4 - 4],
        "longer than the frame": whole[:-3],
        "another version": bytes([whole[0] ^ 0x20]) + whole[1:],
    }
    if version == 4:
        made |= {
            "header checksum": patched(whole, 10, bytes([whole[10] ^ 1])),
            "header of four words": with_header_check(b"\x44" + whole[1:]),
            "total length of the header": with_header_check(patched(whole, 2, b"\0\x14")),
            "total length of nothing": with_header_check(patched(whole, 2, b"\0\0")),
        }
    else:
        made["payload length of nothing"] = patched(whole, 4, b"\0\0")
    if proto == UDP:
        made |= {
            "UDP length too large": patched(whole, l4 + 4, b"\0\xff"),
            "UDP length too small": patched(whole, l4 + 4, b"\0\x07"),
        }
    else:
        made |= {
            "data offset too small": patched(whole, l4 + 12, b"\x40"),
            "data offset too large": patched(whole, l4 + 12, b"\xf0"),
        }
    return made


@PROTOCOLS
@VERSIONS
def test_malformed(ghosts: Ghosts, version: int, proto: int) -> None:
    """Nothing of it is forwarded; natflow leaves it to the stack, which throws it away."""
    flow = ghosts.flow(version, proto, "masqueraded")
    packets = malformed(flow, version, proto)
    kernel = flow.lab.kernel
    for what, packet in packets.items():
        fast, counted = flow.fast(OUT), kernel.stats().reason_packets["malformed"]
        came = flow.everything(OUT, [packet])
        assert not came, (what, came[0].data.hex())
        assert flow.fast(OUT) == fast + 1, (what, "only the packet after it is fast")
        # Header lengths of more or less than five words have a reason of their own.
        ours = what != "header of four words"
        assert kernel.stats().reason_packets["malformed"] == counted + ours, what


@VERSIONS
def test_bad_transport_checksum_stays_bad(ghosts: Ghosts, version: int) -> None:
    """What was damaged on its way must not look whole after the translation."""
    flow = ghosts.flow(version, UDP, "masqueraded")
    packet = flow.packet(OUT, payload=b"damaged").ip()
    before = flow.fast(OUT)
    frame = flow.exchange(OUT, [packet[:-1] + b"D"])[0]
    assert flow.fast(OUT) == before + 1
    with pytest.raises(AssertionError, match="L4 checksum"):
        frame.assert_sums()


@pytest.mark.parametrize(
    "mac", ["02:00:00:00:00:99", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"], ids=str
)
@VERSIONS
def test_frame_for_another(ghosts: Ghosts, version: int, mac: str) -> None:
    """A flooded, broadcast or multicast frame is not routed, even when its packet belongs to an
    accelerated flow and the port is promiscuous."""
    flow = ghosts.flow(version, UDP, "masqueraded")
    lan = ghosts.lab.r
    lan.ip("link set lan promisc on")
    try:
        flow.prime()
        packet = flow.packet(OUT, payload=b"not for the router")
        fast = flow.fast(OUT)
        assert not flow.all_frames(OUT, [packet.frame(mac_bytes(mac), ghosts.lan.mac)])
        assert flow.fast(OUT) == fast + 1, "only the packet after it is fast"
    finally:
        lan.ip("link set lan promisc off")


@VERSIONS
@pytest.mark.parametrize("flags", [SYN, SYN | ACK, FIN | ACK, RST | ACK, PSH, 0])
def test_tcp_flags(ghosts: Ghosts, version: int, flags: int) -> None:
    """Conntrack sees every segment that may change the state of a connection."""
    flow = ghosts.flow(version, TCP, "masqueraded")
    flow.prime()
    kernel = flow.lab.kernel
    fast, counted = flow.fast(OUT), kernel.stats().reason_packets["tcp-flags"]
    closing = flags & (FIN | RST)
    if closing:
        assert flow.exchange(OUT, [flow.packet(OUT, flags=flags)])
        gone = kernel.explain(flow.tuple_)
        assert gone.flow is None, "a closing connection leaves the table"
    else:
        came = flow.everything(OUT, [flow.packet(OUT, flags=flags)])
        # An opener's SYN is let pass for the other end to judge, the rest is dropped as invalid.
        assert len(came) == (flags == SYN)
        assert flow.fast(OUT) == fast + 1, "only the segment after it is fast"
    assert kernel.stats().reason_packets["tcp-flags"] == counted + 1


@VERSIONS
def test_forged_reset(ghosts: Ghosts, version: int) -> None:
    """A reset from outside the window (RFC 5961) ends neither the connection nor the flow."""
    flow = ghosts.flow(version, TCP, "masqueraded")
    flow.prime()
    forged = flow.packet(OUT, flags=RST | ACK)
    flow.everything(OUT, [replace(forged, seq=(forged.seq + 100_000) % (1 << 32))])
    explained = flow.lab.kernel.explain(flow.tuple_)
    assert explained.state == "software", explained
    assert explained.flow is not None and explained.flow.tcp_state == TCP_CONNTRACK_ESTABLISHED
