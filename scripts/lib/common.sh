# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What every script here shares: where the repository is, how to speak, how to wait for one's turn.
# Sourced, never run.

REPO=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
CACHE=$REPO/.cache
# shellcheck disable=SC2034 # used by the scripts that source this
VENV=$REPO/.venv
# A tool of the system must not take modules from whatever Python project the caller is working in.
unset PYTHONPATH PYTHONHOME
export PYTHONPATH=$REPO/scripts/lib

# say TEXT...: progress, on stderr, so that stdout carries results only.
say() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
	say "$*"
	exit 2
}

# usage_of FILE: prints the comment block at the top of a script, which is its manual.
usage_of() {
	sed -n '/^# Usage/,/^[^#]/{ s/^# \{0,1\}//p }' "$1"
}

# take_turn NAME: one process at a time from here to the end of the script (the lock dies with it).
take_turn() {
	mkdir -p "$CACHE"
	exec {TURN}>"$CACHE/$1.lock"
	if ! flock -n "$TURN"; then
		say "waiting for another run that holds $1"
		flock "$TURN"
	fi
}
