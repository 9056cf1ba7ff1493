# SPDX-License-Identifier: GPL-2.0-only
"""scripts/demo --web: a household behind a virtual router, and the router's LuCI page.

The router with its module, natflowd and the traffic are in the virtual machine (``guest``). The bus
and the LuCI host are on this machine: Python is slow under software emulation, and a browser asks a
lot. natflowd comes to the bus over the one socket that the guest can reach (scripts/vm --reach).
"""
