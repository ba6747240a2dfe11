"""A proposal becomes the configuration: file, prompts, PBX, services; or everything is as it was before.

The PBX reads its files anew and calls go on. The services are started anew by ``fourthring up``, which watches
:func:`restart_marker`: a service never reads its settings twice, so none can hold half of an old and half of a
new one. Meanwhile the dialplan serves callers alone, and the bridge takes its calls up again from the journal.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from agi.voice.cache import VoiceCache
from ami_bridge import secrets
from ami_bridge.configuring.document import Configuration, Outdated, Version, id_of
from ami_bridge.configuring.proposal import Proposal
from ami_bridge.errors import FourthRingError
from ami_bridge.pbx.private_pbx import PrivatePbx
from ami_bridge.render import render_asterisk
from ami_bridge.settings import Settings, load_settings

log = logging.getLogger(__name__)

#: What a reload may say that says nothing of the new files.
_HARMLESS = ("NOTICE", "Registered", "already")


class ApplyFailed(FourthRingError):
    """The new configuration did not work; the old one is back."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done. ``pbx``: the PBX of this machine has read it; ``unspoken``: prompts that could not be rendered."""

    version: Version
    pbx: bool
    unspoken: int
    new_secrets: tuple[str, ...]


def restart_marker(state_folder: Path) -> Path:
    """Touched when the services have to take over new settings."""
    return state_folder / "configuration" / "applied"


def apply(configuration: Configuration, proposal: Proposal, by: str, what: str) -> Applied:
    """Apply ``proposal``. Blocks for seconds: call it in a thread, one at a time.

    Raises:
        Outdated: the file is not what the proposal was made from.
        NotEditable: it cannot be written.
        ApplyFailed: PBX or disk refused; everything is as before.
    """
    settings, old = proposal.settings, configuration.text()
    if settings is None or not proposal.well:
        raise ApplyFailed("There are faults in it; nothing was changed.")
    if id_of(old) != proposal.base:
        raise Outdated("The configuration was changed meanwhile; look at the present one and try again.")
    if not any(version.id == proposal.base for version in configuration.versions()):
        configuration.keep(old, "", "")
    made = _missing_secrets(settings)
    configuration.write(proposal.text)
    try:
        unspoken = _prepare(settings)
        pbx = _reload(settings)
    except (FourthRingError, OSError) as error:
        _take_back(configuration, old)
        raise ApplyFailed(f"It did not work and was taken back: {error}") from None
    version = configuration.keep(proposal.text, by, what)
    marker = restart_marker(settings.state_folder)
    marker.write_text(version.id, encoding="utf-8")
    return Applied(version, pbx, unspoken, tuple(made))


def _missing_secrets(settings: Settings) -> list[str]:
    """A new agent's phone needs a password."""
    return [
        extension
        for extension in settings.agents
        if secrets.make_missing(settings, secrets.sip_secret(extension))
    ]


def _prepare(settings: Settings) -> int:
    """What callers will hear, before anybody can ring for it."""
    voice = VoiceCache(settings)
    try:
        return voice.prepare()
    finally:
        voice.close()


def _reload(settings: Settings) -> bool:
    """The PBX takes it over, and says nothing against it. False: it does not run here."""
    pbx = PrivatePbx.of(settings)
    if not pbx.status().running:
        render_asterisk(settings, pbx.paths)
        return False
    before = set(pbx.complaints())
    render_asterisk(settings, pbx.paths)
    pbx.reload()
    new = [line for line in pbx.complaints() if line not in before and line.startswith("ERROR")]
    grave = [line for line in new if not any(word in line for word in _HARMLESS)]
    if grave:
        raise ApplyFailed("; ".join(grave[:3]))
    return True


def _take_back(configuration: Configuration, old: str) -> None:
    configuration.write(old)
    try:
        _reload(load_settings(configuration.path))
    except (FourthRingError, OSError) as error:
        log.error("The old configuration is back in its file, but the PBX did not take it: %s", error)
