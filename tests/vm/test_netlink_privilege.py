# SPDX-License-Identifier: GPL-2.0-only
"""Who may do what: CAP_NET_ADMIN in the namespace decides, for reading as for writing."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterator

import pytest
from lab import Lab

from natflow.kernel.client import Kernel
from natflow.kernel.errors import NoPermission
from natflow.kernel.filters import FlowTuple

NOBODY = 65534
CLONE_NEWUSER_AND_NET = 0x10000000 | 0x40000000
TUPLE = FlowTuple.parse(
    {"proto": "udp", "src": "192.168.77.2", "dst": "198.51.100.2", "sport": 1, "dport": 2}
)

CALLS: dict[str, Callable[[Kernel], object]] = {
    "config-get": Kernel.config,
    "config-set": lambda kernel: kernel.configure({"enabled": 0}),
    "stats-get": Kernel.stats,
    "flow-get": lambda kernel: list(kernel.flows()),
    "flow-flush": Kernel.flush,
    "flow-explain": lambda kernel: kernel.explain(TUPLE),
    "client-get": lambda kernel: list(kernel.clients()),
    "reprove": Kernel.reprove,
    "exception-set": lambda kernel: kernel.set_exceptions(()),
    "exception-get": Kernel.exceptions,
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab(masquerade=True)
    yield made
    made.remove()


def as_nobody(lab: Lab, what: Callable[[], str], new_user_namespace: bool = False) -> str:
    """Run a function in a child without privileges, in the router's namespace; its text."""
    out, into = os.pipe()
    child = os.fork()
    if not child:
        text = "the child died"
        try:
            with lab.r.entered():
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
                libc = ctypes.CDLL(None, use_errno=True)
                if new_user_namespace and libc.unshare(CLONE_NEWUSER_AND_NET):
                    text = "no user namespace"
                else:
                    text = what()
                # Leaving the context would need the privileges that are gone.
                os.write(into, text.encode())
                os._exit(0)
        except BaseException as error:
            os.write(into, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


@pytest.mark.parametrize("name", CALLS)
def test_every_command_needs_the_capability(lab: Lab, name: str) -> None:
    def call() -> str:
        kernel = Kernel()
        try:
            CALLS[name](kernel)
        except NoPermission as error:
            return f"refused: {error}"
        return "allowed"

    before = lab.kernel.config().settings
    assert as_nobody(lab, call) == f"refused: {name}: not permitted"
    assert lab.kernel.config().settings == before


@pytest.mark.parametrize("flows", [False, True])
def test_events_need_the_capability(lab: Lab, flows: bool) -> None:
    """Joining is refused, or nothing is heard (kernels before 6.7 check no groups)."""
    ready, go = os.pipe()

    def listen() -> str:
        try:
            events = Kernel().events(flows)
        except NoPermission:
            return "refused"
        os.write(go, b"1")
        time.sleep(1)
        return f"heard {[event.kind for event in events.read()]}"

    os.set_blocking(ready, False)
    # The event is sent by another child, after the listener had its time to join.
    child = os.fork()
    if not child:
        time.sleep(0.5)
        lab.r.call(lambda: Kernel().configure({"delay_pkts": 0}))
        os._exit(0)
    heard = as_nobody(lab, listen)
    os.waitpid(child, 0)
    os.close(ready)
    os.close(go)
    assert heard in ("refused", "heard []")


def test_a_user_rules_over_his_own_namespace_alone(lab: Lab) -> None:
    def rule() -> str:
        kernel = Kernel()
        kernel.configure({"enabled": 1, "delay_pkts": 77})
        told = kernel.config().settings
        flows = len(list(kernel.flows())) + len(list(kernel.clients()))
        return f"enabled={told['enabled']} delay_pkts={told['delay_pkts']} flows={flows}"

    before = lab.kernel.config().settings
    text = as_nobody(lab, rule, new_user_namespace=True)
    if text == "no user namespace":
        pytest.skip("this kernel gives users no namespaces")
    assert text == "enabled=1 delay_pkts=77 flows=0"
    assert lab.kernel.config().settings == before
