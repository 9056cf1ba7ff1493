# SPDX-License-Identifier: GPL-2.0-only
"""What can go wrong between user space and natflow.ko."""

from __future__ import annotations

import errno


class KernelError(Exception):
    """The kernel refused a request, did not answer, or answered nonsense.

    ``errno`` is a number of errno(3), ``message`` one sentence for people with the kernel's own
    words where it gave any, ``hint`` what to do about it (may be empty).
    """

    #: Whether the same request may succeed later with nobody doing anything about it.
    retry = True

    def __init__(self, number: int, message: str, hint: str = "") -> None:
        super().__init__(number, message)
        self.errno = number
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the sentence."""
        return self.message


class ModuleMissing(KernelError):
    """The generic netlink family does not exist: natflow.ko is not loaded."""

    def __init__(self) -> None:
        super().__init__(
            errno.ENOENT,
            "the kernel module natflow is not loaded",
            "Load it with: modprobe natflow",
        )


class NoPermission(KernelError):
    """The process lacks CAP_NET_ADMIN in its network namespace."""

    def __init__(self, what: str) -> None:
        super().__init__(
            errno.EPERM,
            f"{what}: not permitted",
            "CAP_NET_ADMIN is needed: run it as root.",
        )


class NotAvailable(KernelError):
    """The module that is driven cannot tell or do this at all."""

    retry = False

    def __init__(self, message: str) -> None:
        super().__init__(errno.EOPNOTSUPP, message)


class NotTaken(KernelError):
    """The module has another value in force than the one it was given."""

    retry = False

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(errno.EREMOTEIO, message, hint)


class FilterError(ValueError):
    """A filter, tuple or setting is wrong; the text says what, where and what is allowed."""
