# SPDX-License-Identifier: GPL-2.0-only
"""The netlink client of natflow.ko: one method for each command of docs/netlink.md.

Synchronous, for one thread. Every call raises ModuleMissing when natflow.ko is not loaded,
NoPermission without CAP_NET_ADMIN, and KernelError for all else that goes wrong; when the module
was loaded anew in between, the family is found again and the call goes on.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

from natflow.kernel import replies, uapi
from natflow.kernel.codec import control_codec, family_codec
from natflow.kernel.commits import CommitSocket
from natflow.kernel.errors import KernelError, ModuleMissing, NoPermission
from natflow.kernel.events import EventSocket
from natflow.kernel.exceptions import Exemption
from natflow.kernel.filters import Filter, FlowTuple, settings_attributes
from natflow.kernel.namespace import Namespace
from natflow.kernel.records import (
    Client,
    Config,
    Explanation,
    Flow,
    Flushed,
    Hardware,
    HardwareDevice,
    Stats,
)
from natflow.kernel.transport import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, Refusal, Transport

GENL_ID_CTRL = 16
CTRL_CMD_GETFAMILY = 3
CTRL_VERSION = 2

# The module compares the number of the ruleset with every packet, where the kernel shows it.
RULESET_FEATURE = "ruleset-seq"

# A dump that the kernel marks as inconsistent is read again, so often at the most.
DUMP_PASSES = 3

Attrs = list[tuple[str, Any]]


class Kernel:
    """natflow.ko in the network namespace in which this object was made.

    It stays with that namespace when the thread goes to another one. ``connect`` opens a socket;
    only tests give one. What the attributes mean stands in ``interface.KernelModule``.
    """

    backend = "netlink"
    name = "natflow.ko"
    tells = True
    note = ""

    def __init__(self, connect: Callable[[], Transport] = Transport) -> None:
        self._open = connect
        self._codec = family_codec()
        self._control = control_codec()
        self._family = 0
        self._groups: dict[str, int] = {}
        self._namespace = Namespace()
        try:
            self._transport = self._connect()
        except BaseException:
            self._namespace.close()
            raise
        try:
            self._resolve()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the socket; calls after that raise KernelError."""
        self._transport.close()
        self._namespace.close()

    def __enter__(self) -> Kernel:
        """Return the object itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the socket."""
        self.close()

    def config(self) -> Config:
        """Return version, features, sizes and all settings."""
        return replies.config(self._do("config-get", uapi.CMD_CONFIG_GET, []))

    def configure(self, settings: Mapping[str, int]) -> None:
        """Change the settings that are given (names: uapi.SETTINGS): all of them, or none.

        Raises FilterError for a name or value that is not allowed, before anything is sent.
        """
        attrs = settings_attributes(settings)
        self._do("config-set", uapi.CMD_CONFIG_SET, [("config", {"attrs": attrs})])

    def stats(self) -> Stats:
        """Return the counters."""
        return replies.stats(self._do("stats-get", uapi.CMD_STATS_GET, []))

    def flows(self, match: Filter | None = None) -> Iterator[Flow]:
        """Yield the flows that match, each once, while they arrive.

        Every call has a socket of its own: it may be left early and nested.
        """
        attrs: Attrs = [("filter", {"attrs": match.attributes()})] if match else []
        seen: set[int] = set()
        for reply in self._dump("flow-get", uapi.CMD_FLOW_GET, attrs):
            for flow in replies.flows(reply):
                if flow.raw.id not in seen:
                    seen.add(flow.raw.id)
                    yield flow

    def clients(self) -> Iterator[Client]:
        """Yield the inner hosts, each once."""
        seen: set[tuple[int, bytes]] = set()
        for reply in self._dump("client-get", uapi.CMD_CLIENT_GET, []):
            for client in replies.clients(reply):
                key = (client.raw.family, client.raw.addr)
                if key not in seen:
                    seen.add(key)
                    yield client

    def flush(self, match: Filter | None = None) -> Flushed:
        """Remove the flows that match; their connections live on."""
        attrs: Attrs = [("filter", {"attrs": match.attributes()})] if match else []
        return replies.flushed(self._do("flow-flush", uapi.CMD_FLOW_FLUSH, attrs))

    def explain(self, flow: FlowTuple) -> Explanation:
        """Tell how the flow of a tuple (either direction) is forwarded, and why."""
        attrs: Attrs = [("tuple", {"attrs": flow.attributes()})]
        return replies.explanation(self._do("flow-explain", uapi.CMD_FLOW_EXPLAIN, attrs))

    def hardware(self) -> Hardware:
        """Tell whether there is hardware to hand flows to, and what it was given."""
        return replies.hardware(self._do("hw-get", uapi.CMD_HW_GET, []))

    def hardware_devices(self) -> Iterator[HardwareDevice]:
        """Yield the devices of this namespace that may lead to the hardware."""
        for reply in self._dump("hw-device-get", uapi.CMD_HW_DEVICE_GET, []):
            yield from replies.hardware_devices(reply)

    def reprove(self) -> None:
        """Send the next packet of every flow through the firewall and the routes again."""
        self._do("reprove", uapi.CMD_REPROVE, [])

    def commits(self) -> CommitSocket | None:
        """Return a socket that hears of new rules; None where the module sees them itself."""
        if RULESET_FEATURE in self.config().features:
            return None
        with self._namespace.entered():
            return CommitSocket()

    def exceptions(self) -> tuple[Exemption, ...]:
        """Return the exceptions in force, in their order."""
        rules: list[Exemption] = []
        for reply in self._dump("exception-get", uapi.CMD_EXCEPTION_GET, []):
            # From the beginning again, when others took their place meanwhile.
            del rules[replies.first(reply, "exception-index") :]
            rules += replies.exceptions(reply)
        return tuple(rules)

    def set_exceptions(self, exceptions: Iterable[Exemption]) -> None:
        """Replace all exceptions; they hold for running flows at once."""
        rules = [("exception", {"attrs": rule.attributes()}) for rule in exceptions]
        self._do("exception-set", uapi.CMD_EXCEPTION_SET, [("exceptions", {"attrs": rules})])

    def events(self, flows: bool = False) -> EventSocket:
        """Return a socket that hears of configuration and flushes, and of flows where asked for."""
        self._resolve()
        with self._namespace.entered():
            return EventSocket(self._codec, self._control, self._groups, flows)

    def _connect(self) -> Transport:
        with self._namespace.entered():
            return self._open()

    def _resolve(self) -> None:
        """Ask nlctrl for the numbers of the family and its groups."""
        transport = self._transport
        request = self._control.encode(
            GENL_ID_CTRL,
            CTRL_CMD_GETFAMILY,
            CTRL_VERSION,
            NLM_F_REQUEST | NLM_F_ACK,
            transport.sequence(),
            [("family-name", uapi.GENL_NAME)],
        )
        try:
            answers = [self._control.decode(data)[1] for data in transport.exchange(request)]
        except Refusal as refused:
            if refused.errno == errno.ENOENT:
                raise ModuleMissing from None
            raise self._error("family", refused, request) from None
        if not answers or "family-id" not in answers[0]:
            raise KernelError(errno.EBADMSG, "the kernel gave no number for the family natflow")
        self._family = answers[0]["family-id"][0]
        self._groups = replies.groups(answers[0])

    def _request(self, transport: Transport, command: int, flags: int, attrs: Attrs) -> bytes:
        return self._codec.encode(
            self._family,
            command,
            uapi.GENL_VERSION,
            NLM_F_REQUEST | flags,
            transport.sequence(),
            attrs,
        )

    def _do(self, name: str, command: int, attrs: Attrs) -> replies.Reply:
        """Send a request, return the attributes of its answer ({} when it has none)."""
        for attempt in (1, 2):
            request = self._request(self._transport, command, NLM_F_ACK, attrs)
            try:
                answers = [self._codec.decode(data) for data in self._transport.exchange(request)]
            except Refusal as refused:
                if refused.errno == errno.ENOENT and attempt == 1:
                    self._resolve()  # the family has another number when the module was reloaded
                    continue
                raise self._error(name, refused, request) from None
            for answer, reply in answers:
                if answer == command:
                    return reply
            return {}
        raise AssertionError("unreachable")

    def _dump(self, name: str, command: int, attrs: Attrs) -> Iterator[replies.Reply]:
        """Send a dump request on a new socket and yield the attributes of each message."""
        transport = self._connect()
        try:
            passes = 0
            resolved = False
            while passes < DUMP_PASSES:
                request = self._request(transport, command, NLM_F_DUMP, attrs)
                try:
                    for data in transport.exchange(request):
                        answer, reply = self._codec.decode(data)
                        if answer == command:
                            yield reply
                except Refusal as refused:
                    if refused.errno == errno.ENOENT and not resolved:
                        resolved = True
                        self._resolve()
                        continue
                    if refused.errno != errno.EINTR:
                        raise self._error(name, refused, request) from None
                else:
                    if not transport.interrupted:
                        return
                passes += 1
        finally:
            transport.close()

    def _error(self, name: str, refused: Refusal, request: bytes) -> KernelError:
        """Turn the kernel's refusal into words."""
        if refused.errno in (errno.EPERM, errno.EACCES):
            return NoPermission(name)
        parts = [name]
        if refused.offset is not None:
            place = self._codec.locate(request, refused.offset)
            if place:
                parts.append(place)
        text = refused.text or os.strerror(refused.errno)
        if refused.missing is not None:
            text += f" (attribute {refused.missing} is missing)"
        return KernelError(refused.errno, ": ".join((*parts, text)))
