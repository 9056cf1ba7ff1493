# SPDX-License-Identifier: GPL-2.0-only
"""Exceptions: what they name stays slow, running flows at once too, and the rest stays fast."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from lab import CLIENT4, CLIENT6, DNAT_PORT, DNAT_TO, SERVER4, SERVER6, WAN4, Lab, Pair, ping

from natflow.kernel.errors import KernelError
from natflow.kernel.exceptions import Exemption
from natflow.kernel.filters import Filter, Prefix
from natflow.kernel.uapi import EXCEPTIONS_MAX

PORT = 5060


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab(lan="vlan-bridge", masquerade=True, dnat=True)
    yield lab
    lab.remove()


@pytest.fixture(autouse=True)
def nothing_is_left(lab: Lab) -> Iterator[None]:
    yield
    lab.kernel.set_exceptions(())


def fast(lab: Lab, pair: Pair) -> int:
    """Packets of four exchanges that were accelerated."""
    before = lab.flow(pair)
    ping(pair, 4)
    after = lab.flow(pair)
    assert after is not None
    return sum(after.packets) - (sum(before.packets) if before else 0)


KINDS = {
    "src": Exemption(src=Prefix.parse(CLIENT4)),
    "src-prefix": Exemption(src=Prefix.parse("192.168.0.0/16")),
    "dst": Exemption(dst=Prefix.parse(f"{SERVER4}/31")),
    "src-and-port": Exemption(src=Prefix.parse("0.0.0.0/0"), ports=(PORT, PORT)),
    "port-range": Exemption(ports=(PORT - 3, PORT + 3)),
    "proto": Exemption(l4proto=17),
    "port-device": Exemption(device="lan0"),
    "vlan-device": Exemption(device="lan.77"),
    "bridge-device": Exemption(device="lan"),
    "wan-device": Exemption(device="wan"),
    "device-and-src": Exemption(device="wan", src=Prefix.parse(CLIENT4)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_running_flow_goes_slow_at_once_and_back(lab: Lab, kind: str) -> None:
    pair = lab.udp(4, port=PORT)
    ping(pair, 4)
    assert fast(lab, pair) >= 6
    lab.kernel.set_exceptions([Exemption(src=Prefix.parse("203.0.113.7")), KINDS[kind]])
    assert fast(lab, pair) == 0
    told = lab.kernel.explain(pair.tuple_)
    assert (told.state, told.reason, told.exception) == ("slow", "excluded", 1)
    lab.kernel.set_exceptions(())
    ping(pair, 4)
    assert fast(lab, pair) >= 6
    assert lab.kernel.explain(pair.tuple_).exception is None
    pair.close()


OTHERS = (
    Exemption(src=Prefix.parse("192.168.77.3")),
    Exemption(src=Prefix.parse(SERVER4)),
    Exemption(src=Prefix.parse("::/0")),
    Exemption(ports=(PORT + 1, PORT + 9)),
    Exemption(l4proto=6),
    Exemption(device="lan1"),
    Exemption(mac=bytes.fromhex("020000000001")),
    Exemption(mark=(7, 7)),
    Exemption(src=Prefix.parse(CLIENT4), device="lan1"),
)


def test_other_flows_stay_fast(lab: Lab) -> None:
    pair = lab.udp(4, port=PORT)
    ping(pair, 4)
    lab.kernel.set_exceptions(OTHERS)
    ping(pair, 1)
    assert fast(lab, pair) >= 6
    assert lab.state(pair) == "software"
    pair.close()


@pytest.mark.parametrize("host", ["client", "server"])
def test_mac(lab: Lab, host: str) -> None:
    side, device = (lab.c, "lan") if host == "client" else (lab.s, "wan")
    (link,) = json.loads(side.run("ip", "-j", "link", "show", "dev", device))
    pair = lab.udp(4)
    ping(pair, 4)
    lab.kernel.set_exceptions([Exemption(mac=Filter.parse({"mac": link["address"]}).mac)])
    assert fast(lab, pair) == 0
    assert lab.kernel.explain(pair.tuple_).exception == 0
    pair.close()


def test_ipv6_and_tcp(lab: Lab) -> None:
    pair, other = lab.tcp(6, port=PORT), lab.tcp(4, port=PORT)
    ping(pair, 4)
    ping(other, 4)
    lab.kernel.set_exceptions(
        [Exemption(src=Prefix.parse(f"{CLIENT6}/64"), dst=Prefix.parse(SERVER6), l4proto=6)]
    )
    ping(other, 1)
    assert fast(lab, pair) == 0
    assert fast(lab, other) >= 6
    pair.close()
    other.close()


@pytest.mark.parametrize("port", [DNAT_PORT, DNAT_TO])
@pytest.mark.parametrize("dst", [WAN4, CLIENT4])
def test_a_translated_destination_has_two_names(lab: Lab, port: int, dst: str) -> None:
    pair = lab.udp(4, dnat=True)
    ping(pair, 4)
    lab.kernel.set_exceptions([Exemption(dst=Prefix.parse(dst), ports=(port, port))])
    assert fast(lab, pair) == 0
    pair.close()


def test_connection_mark(lab: Lab) -> None:
    lab.r.nft(
        "table inet m { chain f { type filter hook forward priority -150; "
        f"udp dport {PORT} ct mark set ct mark or 0x100;\n}}\n}}\n"
    )
    try:
        pair, other = lab.udp(4, port=PORT), lab.udp(4)
        lab.kernel.set_exceptions([Exemption(mark=(0x100, 0x100))])
        ping(pair, 4)
        ping(other, 4)
        assert fast(lab, pair) == 0
        assert fast(lab, other) >= 6
        pair.close()
        other.close()
    finally:
        lab.r.nft("delete table inet m")


def test_a_device_that_gets_the_name_later(lab: Lab) -> None:
    lab.kernel.set_exceptions([Exemption(device="uplink")])
    pair = lab.udp(4)
    ping(pair, 4)
    assert fast(lab, pair) >= 6
    lab.r.ip("link set wan down", "link set wan name uplink", "link set uplink up")
    try:
        other = lab.udp(4)
        ping(other, 4)
        assert fast(lab, other) == 0
        assert lab.reason(other) == "excluded"
        other.close()
    finally:
        lab.r.ip("link set uplink down", "link set uplink name wan", "link set wan up")
        lab.r.ip("addr replace fd99::1/64 dev wan nodad")
    pair.close()


def test_all_or_nothing(lab: Lab) -> None:
    """A list with one mistake changes nothing, and the message names it."""
    good = Exemption(src=Prefix.parse(CLIENT4))
    lab.kernel.set_exceptions([good])
    for wrong, words in (
        (Exemption(), "without a condition"),
        (Exemption(ports=(9, 8)), "below port-min"),
        (Exemption(l4proto=1), "6 (TCP) or 17 (UDP)"),
        (Exemption(mark=(4, 3)), "outside mark-mask"),
        (Exemption(device="a/b"), "cannot be the name"),
        (Exemption(src=Prefix.parse("::1"), dst=Prefix.parse("1.2.3.4")), "different families"),
    ):
        with pytest.raises(KernelError) as caught:
            lab.kernel.set_exceptions([Exemption(l4proto=6), wrong])
        assert words in str(caught.value)
        assert lab.kernel.exceptions() == (good,)
    with pytest.raises(KernelError, match="more than 256 exceptions"):
        lab.kernel.set_exceptions([good] * (EXCEPTIONS_MAX + 1))
    assert lab.kernel.exceptions() == (good,)


def test_the_longest_list_comes_back_as_it_was_given(lab: Lab) -> None:
    rules = tuple(
        Exemption(
            src=Prefix.parse(f"2001:db8::{number:x}"),
            dst=Prefix.parse("2001:db8::/32"),
            l4proto=17,
            ports=(1, number + 1),
            device=f"device{number}",
            mac=bytes((2, 0, 0, 0, 0, number)),
            mark=(number, 0xFFFF),
        )
        for number in range(EXCEPTIONS_MAX)
    )
    lab.kernel.set_exceptions(rules)
    assert lab.kernel.exceptions() == rules


def test_reprove(lab: Lab) -> None:
    """The next packet of each direction takes the normal stack."""
    pair = lab.udp(4)
    ping(pair, 4)
    before = lab.flow(pair)
    lab.kernel.reprove()
    ping(pair, 1)
    after = lab.flow(pair)
    assert before is not None and after is not None
    assert sum(after.packets) == sum(before.packets)
    assert fast(lab, pair) >= 6
    pair.close()
