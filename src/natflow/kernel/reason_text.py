# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: E501
"""Sentence and hint of each reason code; scripts/genspec: from src/natflow.yaml."""

from __future__ import annotations

TEXT: tuple[tuple[str, str], ...] = (
    (
        "The flow is accelerated.",
        "Nothing to do.",
    ),
    (
        "Acceleration is switched off in this network namespace.",
        "Switch it on: uci set natflow.main.enabled=1, or the toggle in LuCI.",
    ),
    (
        "Connection tracking does not track the packet.",
        "A notrack rule excludes it, or it belongs to no connection. Remove the rule to accelerate it.",
    ),
    (
        "It is the first packet of its connection.",
        "Nothing to do; the next packets can be accelerated.",
    ),
    (
        "The connection was deleted from conntrack and is about to go.",
        "Nothing to do; a new connection is learned afresh.",
    ),
    (
        "It is neither TCP nor UDP.",
        "ICMP, GRE, ESP and others always take the normal stack.",
    ),
    (
        "The TCP connection is not in state ESTABLISHED.",
        "Opening and closing connections take the normal stack, so that conntrack follows their state.",
    ),
    (
        "Traffic was seen in one direction only.",
        "One-way UDP and single questions and answers are not worth a flow.",
    ),
    (
        "The connection has not yet had as many packets as delay_pkts asks for.",
        "Lower delay_pkts to accelerate shorter connections.",
    ),
    (
        "It is not known yet where the packets of the direction come in.",
        "It ends with the next packet of the other direction.",
    ),
    (
        "The re-proof interval is over; this packet goes through the firewall and the routes again.",
        "Nothing to do; one packet for each direction and interval is meant to do so.",
    ),
    (
        "A connection tracking helper (ALG, as for FTP or SIP) reads and may rewrite the packets.",
        "Remove the helper assignment from the firewall if the protocol needs none.",
    ),
    (
        "Conntrack shifts TCP sequence numbers of this connection.",
        "Nothing to do; a helper or synproxy rewrote its payload.",
    ),
    (
        "The connection was opened through SYNPROXY.",
        "Nothing to do; its sequence numbers are translated for as long as it lives.",
    ),
    (
        "Conntrack resolved a NAT clash for this connection.",
        "Nothing to do; the next connection of this client is learned as usual.",
    ),
    (
        "The connection belongs to a conntrack zone of its own.",
        "Only the default zone is accelerated.",
    ),
    (
        "Another offloader (nftables flowtable or act_ct) owns the connection.",
        "Switch the firewall's own flow offloading off to let natflow have it.",
    ),
    (
        "The configuration excludes it (connection or packet mark).",
        "See exclude_mark and the exception sections of the natflow configuration.",
    ),
    (
        "An IPsec policy or state applies to the packets.",
        "IPsec traffic always takes the normal stack.",
    ),
    (
        "The route leads through a tunnel, or attaches tunnel data to the packet.",
        "WireGuard, tun and PPP are handled; other tunnels take the normal stack.",
    ),
    (
        "The route is not an ordinary unicast one, or asks for a redirect.",
        'Check the route with "ip route get".',
    ),
    (
        "A device on the path belongs to a VRF.",
        "VRF traffic takes the normal stack.",
    ),
    (
        "The link-layer address of the next hop is not known or not valid now.",
        'It is tried again with the next packets. If it stays, look at "ip neigh".',
    ),
    (
        "The way from the egress device down to a port could not be resolved.",
        "The bridge may have forgotten the address of the host; it is tried again with the next packets.",
    ),
    (
        "The kind of device is not handled by the fast path.",
        "Ethernet, WiFi, VLAN, bridge, bond, macvlan, PPPoE, PPP, WireGuard, tun and modem devices are handled; the others take the normal stack.",
    ),
    (
        "The egress is a PPPoE session on a kind of device that is not handled.",
        "Sessions on Ethernet and VLAN devices are handled; the others take the normal stack.",
    ),
    (
        "The path has more VLAN tags and PPPoE headers than are handled.",
        "Two of them together are handled; with more the connection takes the normal stack.",
    ),
    (
        "A filter on a device above the port must see the packets that the device receives.",
        "Move the tc or nftables ingress filter to the port to have both, or keep the flow on the normal stack.",
    ),
    (
        "The router itself sends or receives the packet.",
        "Only forwarded traffic is accelerated.",
    ),
    (
        "The packet is an IP fragment, or was put together from fragments.",
        "Fragments take the normal stack. A smaller MTU at the sender avoids them.",
    ),
    (
        "The packet carries IPv4 options or IPv6 extension headers.",
        "Such packets take the normal stack.",
    ),
    (
        "The TTL or hop limit is about to run out.",
        "The normal stack answers with an ICMP message.",
    ),
    (
        "The packet is larger than the MTU of its way out.",
        "The normal stack fragments it or answers with an ICMP message. Check MTU and MSS clamping.",
    ),
    (
        "The headers are truncated or contradict each other.",
        "The normal stack decides about it.",
    ),
    (
        "The packet is broadcast or multicast, or its frame is addressed to another host.",
        "Only unicast traffic to this router is accelerated.",
    ),
    (
        "The segment carries SYN, FIN or RST, or no ACK.",
        "Conntrack must see these; a closing connection is handed back to the normal stack.",
    ),
    (
        "The connection could be accelerated, but none of its packets was forwarded lately.",
        "It is learned with its next packets.",
    ),
    (
        "The packet came in through another device or VLAN than its flow expects.",
        "After a client roamed this ends with the next packets. Where it stays, the paths are asymmetric.",
    ),
    (
        "Route, neighbour, device, address or ruleset changed since the flow was proved.",
        "Nothing to do; the next packet proves the flow again.",
    ),
    (
        "The connection is being closed.",
        "Nothing to do.",
    ),
    (
        "The flow table holds as many flows as max_flows allows.",
        "Raise max_flows if there is memory for it.",
    ),
    (
        "One host holds as many flows as host_flows allows.",
        "Look at the host's connections, or raise host_flows.",
    ),
    (
        "More new flows than learn_rate allows were seen this second.",
        "It is tried again with the next packets.",
    ),
    (
        "The kernel had no memory for the flow.",
        "It is tried again with the next packets.",
    ),
    (
        "The packet was merged by LRO, which must not be forwarded.",
        "Switch LRO off on the ingress device: ethtool -K DEVICE lro off.",
    ),
    (
        "The checksum of the packet could not be handled.",
        "The normal stack decides about it.",
    ),
    (
        "Hardware offload is switched off in this network namespace.",
        "Switch it on: uci set natflow.main.hwnat=1, or the toggle in LuCI.",
    ),
    (
        "The module that talks to the hardware (natflow_hwnat) is not loaded.",
        "Install the package kmod-natflow-hwnat that fits this router's chip. On other hardware there is nothing to do.",
    ),
    (
        "No device offers the kernel's door to the hardware (TC_SETUP_FT).",
        "The Ethernet driver has no packet processing engine, or its door was patched out as on x-wrt kernels. Software goes on.",
    ),
    (
        "The CPU has room for the flow, and software keeps latency lower.",
        "To use the hardware at once: uci set natflow.main.hwnat_mode=always.",
    ),
    (
        "The flow is too slow to be worth a place in the hardware.",
        "Lower hw_min_rate to hand slower flows over.",
    ),
    (
        "The hardware's table holds as many flows as it may.",
        "The slowest flows leave it for faster ones. hw_max_flows bounds it.",
    ),
    (
        "More flows than hw_rate_limit allows wait for the hardware; the fastest come first.",
        "It is tried again with the next second.",
    ),
    (
        "The driver of the hardware has refused the flow.",
        "The error number tells why. It is tried again after a while.",
    ),
    (
        "A queueing discipline, filter or program on the ports must see the packets, and the hardware would pass it by.",
        "Remove the shaper or filter from the ports to use the hardware for it.",
    ),
    (
        "The hardware does not translate IPv6 addresses.",
        "Route IPv6 without translation, or leave such flows to software.",
    ),
    (
        "The direction needs more tags, or other ones, than the hardware can put on.",
        "The hardware knows at most two of 802.1Q and PPPoE together, and one beside a switch port's own tag.",
    ),
    (
        "The direction leaves by a device that the hardware does not reach.",
        "Only ports of the same chip, and WiFi behind WED, can be reached.",
    ),
    (
        "The direction comes in by a device that is not connected to the hardware.",
        "Only ports of the same chip, and WiFi behind WED, feed the hardware.",
    ),
    (
        "The direction uses WED, which is switched off.",
        "Switch it on: uci set natflow.main.hwnat_wed=1.",
    ),
    (
        "This chip's WED carries traffic to WiFi only; what comes from WiFi stays on the CPU.",
        "Nothing to do; the other direction is in the hardware.",
    ),
    (
        "The hardware has failed lately and is left alone for some seconds.",
        "It is tried again by itself. If it stays, look at the kernel log.",
    ),
    (
        "The other direction cannot go to the hardware, and this module never hands over one alone.",
        "The module was built with CONFIG_HWNAT_EXTDEV_DISABLED.",
    ),
    (
        "The direction waits for a packet that the slow path lets through.",
        "It ends with the next packets of the direction.",
    ),
)
