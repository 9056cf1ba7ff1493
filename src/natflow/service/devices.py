# SPDX-License-Identifier: GPL-2.0-only
"""Names of devices by their index, for the length of one reply."""

from __future__ import annotations

from socket import if_indextoname


class Devices:
    """Looks each index up once. A device that has gone is shown by its number."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {0: ""}

    def __call__(self, ifindex: int) -> str:
        """The name; "#7" when device 7 is not there any more, "" when the index is not known."""
        name = self._names.get(ifindex)
        if name is None:
            try:
                name = if_indextoname(ifindex)
            except (OSError, OverflowError):
                name = f"#{ifindex}"
            self._names[ifindex] = name
        return name
