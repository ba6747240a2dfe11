"""Every test, in two halves side by side: real calls mostly wait, all the others mostly compute.

One after the other they take half as long again. The calls are told as they go, the others when they have
ended; a failure of either half is the run's. The others yield the processor to the calls, whose rings are timed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

CALLS = ["tests/pbx", "tests/faults"]
#: Calls whose sound nobody judges come first, while the others compute.
FIRST = ["tests/pbx/test_private_pbx.py", "tests/pbx/test_scenarios.py"]
NICENESS_OF_THE_OTHERS = 15


def pytest_of(half: str, *arguments: str) -> list[str]:
    """One half's command; each remembers its failures in a folder of its own."""
    return [sys.executable, "-m", "pytest", "-o", f"cache_dir=.pytest_cache/{half}", *arguments]


def main() -> int:
    """Returns 0 when both halves passed. Ctrl-C reaches both, and both are waited for: they end what they started."""
    print("Tests with real calls; the others run beside them and are told afterwards.", flush=True)
    with tempfile.TemporaryFile() as told:
        others = subprocess.Popen(
            pytest_of("others", *(f"--ignore={folder}" for folder in CALLS)),
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=subprocess.STDOUT,
        )
        os.setpriority(os.PRIO_PROCESS, others.pid, NICENESS_OF_THE_OTHERS)
        calls = subprocess.Popen(pytest_of("calls", *_calls_in_order()), stdin=subprocess.DEVNULL)
        codes = [_code_of(calls), _code_of(others)]
        print("All the other tests:", flush=True)
        told.seek(0)
        sys.stdout.buffer.write(told.read())
        sys.stdout.flush()
    return max(codes)


def _calls_in_order() -> list[str]:
    files = [str(path) for folder in CALLS for path in sorted(Path(folder).glob("test_*.py"))]
    return FIRST + [file for file in files if file not in FIRST]


def _code_of(half: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return abs(half.wait())
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main())
