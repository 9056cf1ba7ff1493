# SPDX-License-Identifier: GPL-2.0-only
"""The netlink client of natflow.ko: ``client`` talks, ``records`` and ``filters`` are its nouns."""
