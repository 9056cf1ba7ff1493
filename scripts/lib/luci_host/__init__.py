# SPDX-License-Identifier: GPL-2.0-only
"""A small LuCI host: serves the pages of package/luci-app-natflow without OpenWrt.

It stands for uhttpd, rpcd and LuCI's dispatcher, as far as the app uses them: login, sessions with
access lists, JSON-RPC to the bus, staged UCI changes with apply and rollback, menu, translations.
``runtime/`` is the part that runs in the browser. Real LuCI can take its place (``luci_tree``).

For development and tests: on loopback, with passwords that are no secret.
"""
