# SPDX-License-Identifier: GPL-2.0-only
"""``python -m natflow.cli`` is the command natflow."""

from __future__ import annotations

import sys

from natflow.cli import main

sys.exit(main())
