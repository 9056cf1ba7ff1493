#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Run on a target after installation: test.sh PACKAGE VERSION.

[ "$1" = natflow ] || exit 0

natflow --version | grep -xF "natflow $2" || exit 1
natflowd --version | grep -xF "natflowd $2" || exit 1
python3 - <<'EOF'
import natflow.bus.broker
import natflow.cli.show
import natflow.daemon
import natflow.kernel.client
import natflow.service
import natflow.uci.pyuci
EOF
