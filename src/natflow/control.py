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

from natflow import host
from natflow.kernel.errors import KernelError, ModuleMissing, NotTaken
from natflow.problems import ERROR, WARNING, Problem
from natflow.settings import PACKAGE, SECTION, SWITCHES, Settings, change, read
from natflow.uci import UciError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from natflow.kernel.interface import KernelModule
    from natflow.kernel.records import Config
    from natflow.uci import Uci

MODULE = "/sys/module/natflow"
# Between attempts to reach the module where /sys does not tell about it, and between looks at one
# that does not tell when it is changed.
RETRY_SECONDS = 10.0
PROBLEMS_MAX = 50


class SettingsError(ValueError):
    """Run-time options that are refused; the text says what is allowed."""


class Control:
    """Brings the configuration into the module and notices when either changes."""

    def __init__(self, uci: Uci, open_kernel: Callable[[], KernelModule]) -> None:
        self.uci = uci
        self.problems: list[Problem] = []
        #: Warnings about what the module that is driven does not have.
        self.ignored: list[Problem] = []
        #: Why the settings could not be put in force, None when they are.
        self.fault: KernelError | None = None
        #: Called when the module was found, so that its events can be read.
        self.on_connect: Callable[[KernelModule], None] | None = None
        self._open_kernel = open_kernel
        self._kernel: KernelModule | None = None
        self._wanted: Settings | None = None  # None until a configuration without errors was read
        self._token = (0, 0)
        self._next_try = 0.0

    @property
    def errors(self) -> list[Problem]:
        """The problems that keep the configuration from being put in force."""
        return [problem for problem in self.problems if problem.severity == ERROR]

    @property
    def foreign(self) -> bool:
        """Whether the module that is driven is the older one, behind its control device."""
        return self._kernel is not None and not self._kernel.tells

    def warned(self) -> list[Problem]:
        """All problems, those of the module that is driven included."""
        return [*self.problems, *self.ignored]

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
        kernel = self.kernel()
        have = kernel.config().settings
        lacking = [] if kernel.tells else [name for name in options if name not in have]
        if lacking:
            raise SettingsError(f"{', '.join(lacking)}: {kernel.name} has no such setting")
        try:
            self._write(kernel, have, after)
        except NotTaken:
            with contextlib.suppress(KernelError):
                self._write(kernel, kernel.config().settings, before)
            raise
        self.fault = None
        self._wanted = after
        old, new = before.reply(), after.reply()
        return {name: value for name, value in new.items() if old[name] != value}

    def kernel(self) -> KernelModule:
        """The module. ModuleMissing when it is not loaded."""
        if self._kernel is None:
            self._adopt(self._open_kernel())
        assert self._kernel is not None
        return self._kernel

    def _adopt(self, kernel: KernelModule) -> None:
        self._kernel = kernel
        if self.on_connect is not None:
            self.on_connect(kernel)

    def config(self) -> Config:
        """What the module has in force, compared with what is wanted where it tells no changes."""
        kernel = self.kernel()
        config = kernel.config()
        self._compare(kernel, config.settings)
        return config

    def apply(self) -> None:
        """Write what differs from the wanted settings; ``fault`` tells what came of it."""
        if self.foreign:
            self.close()  # natflow.ko may have come, and is preferred
        self._token = module_token()
        self._next_try = time.monotonic() + RETRY_SECONDS
        self.ignored = []
        try:
            kernel, have = self._reach()
            if self._wanted is not None:
                self.ignored = self._lacking(kernel, have, self._wanted)
                self._write(kernel, have, self._wanted)
            self.fault = None
        except KernelError as error:
            self.fault = error

    def _reach(self) -> tuple[KernelModule, dict[str, int]]:
        """The module and its settings, also when it is another one than before."""
        kernel = self.kernel()
        try:
            return kernel, kernel.config().settings
        except ModuleMissing:
            if kernel.tells and not host.control_device():
                raise
            self.close()
            kernel = self.kernel()
            return kernel, kernel.config().settings

    def _lacking(
        self, kernel: KernelModule, have: Mapping[str, int], wanted: Settings
    ) -> list[Problem]:
        """Options that somebody has set and this module does not have.

        The two for hardware are told of with the hardware.
        """
        if kernel.tells:
            return []
        file = os.path.join(self.uci.config_dir, PACKAGE)
        lost = [
            Problem(
                WARNING,
                f"it has no effect: {kernel.name} has no exceptions",
                file=file,
                section=rule.name,
            )
            for rule in wanted.exceptions
        ]
        defaults = Settings().reply()
        return lost + [
            Problem(
                WARNING,
                f"it has no effect: {kernel.name} has no such setting",
                file=file,
                section=SECTION,
                option=name,
                value=str(value),
            )
            for name, value in wanted.reply().items()
            if value != defaults[name] and name not in have and name not in SWITCHES
        ]

    @staticmethod
    def _write(kernel: KernelModule, have: Mapping[str, int], settings: Settings) -> None:
        wanted = settings.kernel()
        differs = {name: value for name, value in wanted.items() if have.get(name, value) != value}
        pair = {name: wanted[name] for name in ("exclude_mark", "exclude_mask")}
        if differs.keys() & pair.keys():
            differs |= pair  # the module checks one against the other
        # Excepted before anything is switched on.
        exemptions = tuple(each.exemption for each in settings.exceptions)
        if kernel.tells and kernel.exceptions() != exemptions:
            kernel.set_exceptions(exemptions)
        if differs:
            kernel.configure(differs)

    def _compare(self, kernel: KernelModule, have: Mapping[str, int]) -> None:
        """Notice that somebody else changed a module that tells nobody. It is not written again:
        who changed it may have reasons, and only a person can tell.
        """
        if kernel.tells or self._wanted is None or (self.fault is not None and self.fault.retry):
            return
        from natflow.kernel.ctl import not_taken

        wanted = {name: value for name, value in self._wanted.kernel().items() if name in have}
        self.fault = not_taken(host.CONTROL, have, wanted)

    def tick(self) -> bool:
        """Notice a module that came, went or was loaded anew, and apply the settings to it.

        Whether there was something to do; costs two stat() where there was not.
        """
        due = time.monotonic() >= self._next_try
        if (due and self.fault is not None and self.fault.retry) or module_token() != self._token:
            self.apply()
            return True
        if not due or self._kernel is None or self._kernel.tells:
            return False
        return self._check()

    def _check(self) -> bool:
        """Look at the module behind the control device; whether there is something new."""
        self._next_try = time.monotonic() + RETRY_SECONDS
        before = str(self.fault)
        try:
            preferred = self._open_kernel()
            if preferred.tells:
                self.close()
                self._adopt(preferred)
                self.apply()
                return True
            preferred.close()
            self.config()
        except KernelError as error:
            self.fault = error
        return str(self.fault) != before

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


def module_token() -> tuple[int, int]:
    """Other numbers for each time a module is loaded, natflow.ko or the older one of that name;
    0 while it is not.
    """
    return inode(MODULE), inode(host.CONTROL)


def inode(path: str) -> int:
    """The number of a file, 0 while there is none."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0
