# SPDX-License-Identifier: GPL-2.0-only
"""The messages that fail a run in the virtual router, and their harmless look-alikes."""

import pytest
from testvm import console

BAD = [
    "[    5.611471] WARNING: CPU: 0 PID: 137 at net/core/dev.c:10 f+0x22/0x1000 [natflow]",
    "[    4.636643] BUG: kernel NULL pointer dereference, address: 0000000000000008",
    "[    4.637116] Oops: 0002 [#1] PREEMPT SMP NOPTI",
    "[    4.950670] Oops: Oops: 0002 [#1] PREEMPT SMP NOPTI",
    "[    4.637826] RIP: 0010:h_init+0x2b/0x1000 [natflow]",
    "[    4.644476] Kernel panic - not syncing: Fatal exception",
    "[   12.000000] kernel BUG at net/core/skbuff.c:120!",
    "[   12.000000] general protection fault, probably for non-canonical address 0xdead: 0000 [#1]",
    "[   12.000000][  T123] refcount_t: underflow; use-after-free.",
    "[   12.000000] unregister_netdevice: waiting for lan to become free. Usage count = 2",
    "[  242.000000] INFO: task kworker/u4:1:33 blocked for more than 120 seconds.",
    "[  242.000000] rcu: INFO: rcu_preempt self-detected stall on CPU",
    "[  242.000000] rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
    "[  242.000000] rcu: rcu_preempt kthread starved for 5252 jiffies! g100 f0x0",
    "[  242.000000] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [insmod:137]",
    "[    9.000000] WARNING: possible circular locking dependency detected",
    "[    9.000000] WARNING: suspicious RCU usage",
    "[    9.000000] WARNING: inconsistent lock state",
    "[    9.000000] BUG: sleeping function called from invalid context at mm/slab.h:274",
    "[    9.000000] BUG: scheduling while atomic: ip/200/0x00000002",
    "[    9.000000] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    "[    9.000000] BUG natflow_flow (Tainted: G  O ): Objects remaining in natflow_flow on "
    "__kmem_cache_shutdown()",
    "[    9.000000] kmem_cache_destroy natflow_flow: Slab cache still has objects when called from",
    "[    9.000000] list_del corruption. prev->next should be ffff, but was 0000",
    "[    9.000000] BUG: KASAN: use-after-free in natflow_forward+0x1/0x2",
    "[    9.000000] UBSAN: shift-out-of-bounds in net/x.c:1:2",
    "[    9.000000] wan: hw csum failure",
    "[    9.000000] protocol 0800 is buggy, dev wan",
    "[    9.000000] Dead loop on virtual device wan, fix it urgently!",
    "[    9.000000] Out of memory: Killed process 300 (python) total-vm:1kB",
    "natflow-vm: init failed: 9p root",
]

GOOD = [
    "[    0.813972] mtrr: your CPUs had inconsistent fixed MTRR settings",
    "[    0.9] acpi PNP0A03:00: fail to add MMCONFIG information",
    "[    4.764936] ACPI: PM: Preparing to enter system sleep state S5",
    "[    5.000000] natflow: loading out-of-tree module taints kernel.",
    "[    5.000000] natflow: module verification failed: signature and/or required key missing",
    "[    5.000000] nf_conntrack: nf_conntrack: table full, dropping packet",
    "[    5.000000] TCP: request_sock_TCP: Possible SYN flooding on port 5201. Sending cookies.",
    "[    5.000000] traps: python[200] general protection ip:7f sp:7f error:0 in libc.so.6",
    "[    5.000000] python[200]: segfault at 0 ip 00007f sp 00007f error 4 in libc.so.6[7f+1]",
    "[    5.000000] RIP: 0033:0x7f1234567890",
    "[    5.000000] evm: overlay not supported",
    "[    5.000000] device lan entered promiscuous mode",
    "[    5.000000] clocksource: timekeeping watchdog on CPU0: Marking clocksource 'tsc' unstable",
    "[    5.000000] debugfs: Directory 'natflow' with parent '/' already present!",
    "[    5.000000] ICMPv6: process `x' is using deprecated sysctl",
]


@pytest.mark.parametrize("line", BAD)
def test_bad_line_is_found(line: str) -> None:
    assert console.offending(f"[ 1.0] before\r\n{line}\r\n[ 2.0] after\r\n") == [line]


@pytest.mark.parametrize("line", GOOD)
def test_good_line_is_left_alone(line: str) -> None:
    assert console.offending(line) == []


# One sample for each pattern that BAD does not reach; worded as the kernel's sources word them.
MORE = [
    "Unable to handle kernel paging request at virtual address 0000000000000008",
    "unable to handle page fault for address: ffffffff",
    "Internal error: Oops: 96000004 [#1] SMP",
    "double fault: 0000 [#1]",
    "invalid opcode: 0000 [#1] PREEMPT SMP",
    "BUG: KFENCE: use-after-free read in f+0x1/0x2",
    "BUG: KCSAN: data-race in f / g",
    "INFO: suspicious RCU usage",
    "INFO: possible irq lock inversion dependency: deadlock",
    " *** DEADLOCK ***",
    "INFO: trying to register non-static key.",
    "BUG: Bad page state in process ip  pfn:1",
    "ODEBUG: free active (active state 0) object type: timer_list",
    "python: page allocation failure: order:5, mode:0x1",
    "Attempt to release alive inet socket 00000000",
    "KERNEL: assertion (!sk->sk_forward_alloc) failed",
    "INFO: rcu_preempt detected stalls on CPUs/tasks",
    "Kernel panic - not syncing: hung_task: blocked tasks",
    "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 40s!",
    "Leaked POSIX lock on dev=0x0:0x1",
    "ref_tracker: wan@00000000 has 1/2 users at",
]


def test_every_pattern_has_a_sample() -> None:
    samples = [console.message(line) for line in (*BAD, *MORE)]
    silent = [p.pattern for p in console.patterns() if not any(map(p.search, samples))]
    assert silent == []


@pytest.mark.parametrize(
    ("flags", "meaning"),
    [
        (0, []),
        (1 << 12 | 1 << 13 | 1 << 2, []),
        (1 << 9 | 1 << 12, ["warning"]),
        (1 << 7 | 1 << 9, ["oops", "warning"]),
        (1 << 14, ["soft lock-up"]),
        (1 << 18, ["flag 18"]),
    ],
)
def test_taint(flags: int, meaning: list[str]) -> None:
    assert console.taint(flags) == meaning
