# SPDX-License-Identifier: GPL-2.0-only
"""natflowd on a module in memory; run by processes.Router."""

from __future__ import annotations

import sys

from unit.kernel.fake import FakeKernel, flow

from natflow import daemon, host

KERNEL = FakeKernel([flow(bytes=(10, 20))], settings={"enabled": 0})


if __name__ == "__main__":
    daemon.open_kernel = lambda: KERNEL  # type: ignore[assignment,return-value]
    host.NFT = ("/nonexistent",)
    sys.exit(daemon.main())
