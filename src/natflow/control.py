# SPDX-License-Identifier: GPL-2.0-only
"""What shall be in force, and the module it is put in force in.

The module holds the truth. At start its settings are taken over and only what differs from the
configuration is written; flows and counters are never touched. A configuration with an error
changes nothing: what the module has in force stays, and the problems are kept for ``status``.
"""

from __future__ import annotations

import contextlib
import os
import time

from natflow.kernel.errors import KernelError
from natflow.settings import ERROR, PACKAGE, Problem, Settings, change, read
from natflow.uci import UciError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from natflow.kernel.client import Kernel
    from natflow.uci import Uci

MODULE = "/sys/module/natflow"
RETRY_SECONDS = 10.0  # between attempts to reach the module where /sys does not tell about it
PROBLEMS_MAX = 50


class SettingsError(ValueError):
    """Run-time options that are refused; the text says what is allowed."""


class Control:
    """Brings the configuration into the module and notices when either changes."""

    def __init__(self, uci: Uci, open_kernel: Callable[[], Kernel]) -> None:
        self.uci = uci
        self.problems: list[Problem] = []
        #: Why the settings could not be put in force, None when they are.
        self.fault: KernelError | None = None
        #: Called when the module was found, so that its events can be read.
        self.on_connect: Callable[[Kernel], None] | None = None
        self._open_kernel = open_kernel
        self._kernel: Kernel | None = None
        self._wanted: Settings | None = None  # None until a configuration without errors was read
        self._token = 0
        self._next_try = 0.0

    @property
    def errors(self) -> list[Problem]:
        """The problems that keep the configuration from being put in force."""
        return [problem for problem in self.problems if problem.severity == ERROR]

    @property
    def settings(self) -> Settings:
        """What is wanted, or, with no valid configuration yet, what the module has."""
        if self._wanted is not None:
            return self._wanted
        settings = Settings()
        # Where the module cannot be asked nothing is accelerated, as the defaults say.
        with contextlib.suppress(KernelError):
            settings.adopt(self.kernel().config().settings)
        return settings

    def reload(self) -> None:
        """Read the configuration and put it in force; with an error in it nothing changes."""
        file = os.path.join(self.uci.config_dir, PACKAGE)
        try:
            settings, problems = read(self.uci.load(PACKAGE), file)
        except UciError as error:
            settings = None
            problems = [Problem(ERROR, error.reason, file=error.file, line=error.line)]
        self.problems = first_problems(problems, file)
        if settings is not None and not self.errors:
            self._wanted = settings
        self.apply()

    def set(self, options: Mapping[str, object]) -> dict[str, bool | int | str]:
        """Change options until the next reload; all of them or, with a SettingsError, none.

        Returns those that are different now. KernelError when the module refuses or is missing.
        """
        before = self.settings
        after, problems = change(before, options)
        if problems:
            listed = first_problems(problems, "")
            raise SettingsError("\n".join(str(problem) for problem in listed))
        self._write(self.kernel(), after)
        self.fault = None
        self._wanted = after
        old, new = before.reply(), after.reply()
        return {name: value for name, value in new.items() if old[name] != value}

    def kernel(self) -> Kernel:
        """The module. ModuleMissing when it is not loaded."""
        if self._kernel is None:
            self._kernel = self._open_kernel()
            if self.on_connect is not None:
                self.on_connect(self._kernel)
        return self._kernel

    def apply(self) -> None:
        """Write what differs from the wanted settings; ``fault`` tells what came of it."""
        self._token = module_token()
        self._next_try = time.monotonic() + RETRY_SECONDS
        try:
            if self._wanted is None:
                self.kernel().config()
            else:
                self._write(self.kernel(), self._wanted)
            self.fault = None
        except KernelError as error:
            self.fault = error

    @staticmethod
    def _write(kernel: Kernel, settings: Settings) -> None:
        have = kernel.config().settings
        wanted = settings.kernel()
        differs = {name: value for name, value in wanted.items() if have.get(name, value) != value}
        pair = {name: wanted[name] for name in ("exclude_mark", "exclude_mask")}
        if differs.keys() & pair.keys():
            differs |= pair  # the module checks one against the other
        if differs:
            kernel.configure(differs)

    def tick(self) -> bool:
        """Notice a module that came, went or was loaded anew, and apply the settings to it.

        Whether there was something to do; costs one stat() where there was not.
        """
        retry = self.fault is not None and time.monotonic() >= self._next_try
        if not retry and module_token() == self._token:
            return False
        self.apply()
        return True

    def close(self) -> None:
        """Let go of the module, which goes on as it is."""
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None


def first_problems(problems: list[Problem], file: str) -> list[Problem]:
    """As many as a reader can use, errors first, by line, and how many more there are."""
    ordered = sorted(problems, key=lambda problem: (problem.severity != ERROR, problem.line))
    more = len(ordered) - PROBLEMS_MAX
    if more > 0:
        rest = Problem(ordered[PROBLEMS_MAX].severity, f"there are {more} more problems", file=file)
        ordered[PROBLEMS_MAX:] = [rest]
    return ordered


def module_token() -> int:
    """Another number for each time the module is loaded; 0 while it is not."""
    try:
        return os.stat(MODULE).st_ino
    except OSError:
        return 0
