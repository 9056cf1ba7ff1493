# SPDX-License-Identifier: GPL-2.0-only
"""natflow: line-rate NAT and routing for home routers, and a daemon that shows what it does."""

__version__ = "0.1.0"
