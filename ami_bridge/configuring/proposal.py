"""What a change would do, before it is done: its diff, the faults in it, and the findings of ``fourthring check``."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from ami_bridge.check import Finding, run_checks
from ami_bridge.configuring.document import NotEditable, document_of, id_of
from ami_bridge.errors import ConfigError, FourthRingError
from ami_bridge.settings import Settings, parse_settings

_CONTEXT_LINES = 3
#: Sections that a restored version must share with the present one: services would listen, or look, elsewhere.
_FIXED = ("node", "network", "secrets", "store", "voices", "trunks", "channel_events")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a diff."""

    sign: Literal["+", "-", " ", "@"]
    text: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A new text of the file against the one of version ``base``. ``settings`` None: it has faults."""

    base: str
    text: str
    diff: tuple[Line, ...]
    problems: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    settings: Settings | None = None
    known: frozenset[str] = frozenset()
    """What was found wrong before as well: a change has to answer only for what it makes worse."""

    @property
    def faults(self) -> list[str]:
        """Every sentence that stands in its way."""
        worse = [each.message for each in self.findings if not each.ok and each.message not in self.known]
        return [*self.problems, *worse]

    @property
    def well(self) -> bool:
        """Whether it may be applied."""
        return self.settings is not None and not self.faults


def propose(old: str, new: str) -> Proposal:
    """Judge ``new`` by the rules of the settings and of the dialplan. Blocks for some 100 ms; changes nothing."""
    proposal = Proposal(id_of(old), new, tuple(_diff(old, new)), ())
    try:
        settings = parse_settings(document_of(new))
    except ConfigError as error:
        return replace(proposal, problems=tuple(_sentences(error)))
    except NotEditable as error:
        return replace(proposal, problems=(str(error),))
    moved = [name for name in _FIXED if document_of(old).get(name) != document_of(new).get(name)]
    if moved:
        told = f"[{moved[0]}] differs, and the desk does not change it; edit the file by hand."
        return replace(proposal, problems=(told,))
    try:
        findings = _checked(settings)
    except FourthRingError as error:
        return replace(proposal, problems=(str(error),))
    known = frozenset() if all(each.ok for each in findings) else _known(old)
    return replace(proposal, findings=tuple(findings), settings=settings, known=known)


def _known(old: str) -> frozenset[str]:
    try:
        return frozenset(each.message for each in _checked(parse_settings(document_of(old))) if not each.ok)
    except FourthRingError:
        return frozenset()


def _checked(settings: Settings) -> list[Finding]:
    """With secrets that last for this look only: a new agent has none yet."""
    with TemporaryDirectory(prefix="fr-secrets-") as folder:
        ours = settings.secrets.model_copy(update={"folder": Path(folder), "create_missing": True})
        return run_checks(settings.model_copy(update={"secrets": ours}), offline=True)


def _sentences(error: ConfigError) -> Iterator[str]:
    for problem in error.problems:
        yield problem.removeprefix("configuration: ")


def _diff(old: str, new: str) -> Iterator[Line]:
    told = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=_CONTEXT_LINES)
    for number, line in enumerate(told):
        if number < 2:
            continue  # names of files that there are not
        if line.startswith("@@"):
            yield Line("@", line)
        else:
            sign: Literal["+", "-", " "] = "+" if line[0] == "+" else "-" if line[0] == "-" else " "
            yield Line(sign, line[1:])
