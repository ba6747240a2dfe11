#!/opt/fourthring/bin/python
"""Exit 0 when a service of this node is well (``healthcheck.py agi|bridge|desk|dialer``); asks as the doctor does."""

from __future__ import annotations

import asyncio
import sys

from ami_bridge.doctor import examine
from ami_bridge.errors import FourthRingError
from ami_bridge.settings import load_settings


def main(service: str) -> int:
    """Print what the doctor says of ``service``; 0 when it is well, 1 when it is ill or unknown."""
    findings = asyncio.run(examine(load_settings()))
    about = [finding for finding in findings if finding.subject.lower() == service]
    for finding in about:
        sys.stdout.write(f"{finding.message}\n")
    return 0 if about and all(finding.ok for finding in about) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except FourthRingError as error:
        sys.stdout.write(f"{error}\n")
        sys.exit(1)
