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
        "Tunnels take the normal stack; the packets inside or outside may be accelerated elsewhere.",
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
        "Ethernet, VLAN and bridge devices are handled; the others take the normal stack.",
    ),
    (
        "The egress is a PPP or PPPoE device.",
        "PPPoE is not handled yet and takes the normal stack.",
    ),
    (
        "The packet or its path has more than one VLAN tag.",
        "Double tagging is not handled yet and takes the normal stack.",
    ),
    (
        "A queueing discipline or tc filter on an upper device of the path must see the packets.",
        "Move the shaper to the port to have both, or keep the flow on the normal stack.",
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
)
