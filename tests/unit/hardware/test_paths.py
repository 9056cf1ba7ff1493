# SPDX-License-Identifier: GPL-2.0-only
"""Drawings of ways, and the sorts of devices that stand in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.kernel.fake import flow

from natflow.kernel import uapi
from natflow.service import devices
from natflow.service.devices import Devices
from natflow.service.paths import draw, drawing

LAN, WAN, WIFI, MODEM = 2, 3, 4, 5
KINDS = {0: "?", LAN: "port", WAN: "port", WIFI: "wifi", MODEM: "wwan"}
NONE, TO_WIFI, FROM_WIFI = 0, 1 << uapi.HW_FLAGS.index("wed"), 1 << uapi.HW_FLAGS.index("wed-rx")


@pytest.mark.parametrize(
    ("inner", "outer", "states", "flags", "expected"),
    [
        (LAN, WAN, "none none", (0, 0), ("port --> cpu --> port", "port <-- cpu <-- port")),
        (LAN, WAN, "bound bound", (0, 0), ("port --> ppe --> port", "port <-- ppe <-- port")),
        (LAN, WAN, "bound pending", (0, 0), ("port --> ppe --> port", "port <-- cpu <-- port")),
        (LAN, WAN, "refused bound", (0, 0), ("port --> cpu --> port", "port <-- ppe <-- port")),
        (WIFI, WAN, "none none", (0, 0), ("wifi --> cpu --> port", "wifi <-- cpu <-- port")),
        # WED of the first version: to WiFi only.
        (
            WIFI,
            WAN,
            "none bound",
            (0, TO_WIFI),
            ("wifi --> cpu --> port", "wifi <-- ppe <-- port"),
        ),
        # The same, on a device that does not look like WiFi.
        (
            LAN,
            WAN,
            "none bound",
            (0, TO_WIFI),
            ("wifi --> cpu --> port", "wifi <-- ppe <-- port"),
        ),
        # WED of the second: both ways.
        (
            WIFI,
            WAN,
            "bound bound",
            (FROM_WIFI, TO_WIFI),
            ("wifi --> ppe --> port", "wifi <-- ppe <-- port"),
        ),
        # Between two stations.
        (
            WIFI,
            WIFI,
            "bound bound",
            (FROM_WIFI | TO_WIFI, FROM_WIFI | TO_WIFI),
            ("wifi --> ppe --> wifi", "wifi <-- ppe <-- wifi"),
        ),
        # The engine knows better than the look of the device.
        (
            LAN,
            WAN,
            "bound bound",
            (FROM_WIFI, TO_WIFI),
            ("wifi --> ppe --> port", "wifi <-- ppe <-- port"),
        ),
        (LAN, MODEM, "none none", (0, 0), ("port --> cpu --> wwan", "port <-- cpu <-- wwan")),
        (LAN, 0, "none none", (0, 0), ("port --> cpu --> ?", "port <-- cpu <-- ?")),
    ],
)
def test_drawing(
    inner: int, outer: int, states: str, flags: tuple[int, int], expected: tuple[str, str]
) -> None:
    first, second = states.split()
    item = flow(
        in_ifindex=(inner, outer),
        out_ifindex=(outer, inner),
        hw_state=(first, second),
        hw_flags=flags,
    )
    assert (drawing(item, KINDS.__getitem__, 0), drawing(item, KINDS.__getitem__, 1)) == expected


def test_the_founding_notation() -> None:
    assert draw(("wifi", "cpu", "ppe", "port"), reply=False) == "wifi --> cpu --> ppe --> port"
    assert draw(("port", "ppe", "wifi"), reply=True) == "wifi <-- ppe <-- port"


@pytest.mark.parametrize(
    ("link", "uevent", "expected"),
    [
        (1, "INTERFACE=eth0\nIFINDEX=2\n", "port"),
        (1, "DEVTYPE=dsa\nINTERFACE=lan1\n", "port"),
        (1, "DEVTYPE=wlan\nINTERFACE=phy0-ap0\n", "wifi"),
        (1, "DEVTYPE=wwan\nINTERFACE=wwan0\n", "wwan"),
        (1, "", "port"),
        (519, "DEVTYPE=wwan\nINTERFACE=wwan0\n", "wwan"),
        (512, "DEVTYPE=ppp\nINTERFACE=pppoe-wan\n", "ppp"),
        (65534, "DEVTYPE=wireguard\nINTERFACE=wg0\n", "tunnel"),
        (768, "INTERFACE=tunl0\n", "tunnel"),
        (0, "", "?"),
    ],
)
def test_sorts_of_devices(
    link: int, uevent: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "NET", str(tmp_path))
    monkeypatch.setattr(devices, "if_indextoname", lambda ifindex: f"dev{ifindex}")
    monkeypatch.setattr(devices, "link_type", lambda name: link)
    if uevent:
        (tmp_path / "dev7").mkdir()
        (tmp_path / "dev7/uevent").write_text(uevent)
    device = Devices()
    assert device.kind(7) == expected
    assert device.kind(7) == expected, "from memory"
    assert device.kind(0) == "?"


def test_a_real_device() -> None:
    assert Devices().kind(1) == "tunnel", "the loopback device is no Ethernet device"
    assert Devices().kind(999_999) == "?"
