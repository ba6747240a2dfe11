"""The one exception that reaches a user, and how it is worded."""

from __future__ import annotations


class FourthRingError(Exception):
    """Something a person must know; the message is one clear sentence with its remedy.

    The command line prints the message alone (no traceback) and exits with ``exit_code``.
    Every subclass names what is wrong, the value that is wrong, and what to do about it.
    """

    exit_code = 4


class ConfigError(FourthRingError):
    """The configuration cannot be used; ``problems`` holds one sentence per fault."""

    exit_code = 2

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))
