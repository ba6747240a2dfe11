"""``python -m ami_bridge.cli`` is the command ``fourthring``; the supervisor starts services this way."""

from ami_bridge.cli import main

main()
