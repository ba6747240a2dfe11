"""The command ``fourthring``: one file per group of commands, and the one place where errors become text."""

from __future__ import annotations

import io
import sys

from ami_bridge.errors import FourthRingError


def main() -> None:
    """Run the command line. A :class:`FourthRingError` is printed as its sentence, without a traceback."""
    from ami_bridge.cli.commands import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A stranger's name may hold what this terminal cannot show; that is no reason to show nothing.
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="fourthring")
    except FourthRingError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # `fourthring calls | head`: the reader has what it wanted.
        sys.stderr.close()
        sys.exit(0)
