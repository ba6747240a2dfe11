"""Changing the one TOML file from the desk: proposed, shown as a diff, checked, applied, and taken back."""

from ami_bridge.configuring.applying import Applied, ApplyFailed, apply, restart_marker
from ami_bridge.configuring.document import Change, Configuration, NotEditable, Outdated
from ami_bridge.configuring.proposal import Line, Proposal, propose

__all__ = [
    "Applied",
    "ApplyFailed",
    "Change",
    "Configuration",
    "Line",
    "NotEditable",
    "Outdated",
    "Proposal",
    "apply",
    "propose",
    "restart_marker",
]
