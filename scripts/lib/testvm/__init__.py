# SPDX-License-Identifier: GPL-2.0-only
"""The virtual test router: stock Debian kernels in QEMU on this machine's file system."""
