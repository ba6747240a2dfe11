"""``fourthring check``: proves what can be proved before a caller finds out.

Offline: the configuration has already been validated when this runs; here the dialplan is rendered and
linted, phrase books and cue cards are read for phrases that send a caller away (S8), and every phrase is looked
for in each language. Against the live PBX: that it runs what would be rendered now.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ami_bridge.check_words import cue_problems, phrase_problems
from ami_bridge.dialplan_walk import walk_callers
from ami_bridge.errors import FourthRingError
from ami_bridge.pbx.asterisk import find_asterisk
from ami_bridge.pbx.paths import PbxPaths
from ami_bridge.pbx.private_pbx import PrivatePbx
from ami_bridge.render import UNREAD_EVENTS, rendered_files
from ami_bridge.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: is it well, and if not, what to do."""

    subject: str
    ok: bool
    message: str


def run_checks(settings: Settings, *, offline: bool) -> list[Finding]:
    """Everything that can be proved; ``offline`` leaves out the running PBX."""
    files = rendered_files(settings, PbxPaths.in_state(settings.state_folder))
    findings = [
        Finding(
            "configuration", True, f"{len(settings.departments)} departments, {len(settings.agents)} agents"
        )
    ]
    extensions = files["extensions.conf"]
    findings += _told(
        "dialplan",
        [*lint_dialplan(extensions), *walk_callers(extensions)],
        "every path of a caller ends well",
    )
    findings += _told("manager.conf", _lint_manager(files["manager.conf"]), "least privilege")
    spoken = f"whole in {', '.join(settings.languages)}; nobody is asked to ring later"
    findings += _told("phrases", phrase_problems(settings), spoken)
    findings += _told("cue cards", cue_problems(settings), "nobody is told to ring later")
    if not offline:
        findings += _told("sounds", _missing_sounds(settings), "found in every language")
        findings += _told("live PBX", _live_differences(settings, files), "runs what the configuration says")
    return findings


def _told(subject: str, problems: Iterator[str] | list[str], well: str) -> list[Finding]:
    return [Finding(subject, False, problem) for problem in problems] or [Finding(subject, True, well)]


# The dialplan -----------------------------------------------------------------------------

_CONTEXT = re.compile(r"^\[(?P<name>[^\]]+)\]")
_EXTEN = re.compile(
    r"^exten\s*=>\s*(?P<pattern>.+?),(?P<priority>[^,(]+)(?:\((?P<label>[^)]*)\))?,(?P<app>.+)$"
)
_SAME = re.compile(r"^\s*same\s*=>\s*n(?:\((?P<label>[^)]*)\))?,(?P<app>.+)$")
_JUMP = re.compile(r"\b(?:Goto|Gosub)\(([a-z][a-z0-9-]*),([^,()]+),([a-z0-9]+)")
_ENDS = ("Hangup(", "Goto(", "Return(")
# Values that a stranger sets. They may be read only through FILTER or BASE64_ENCODE.
_STRANGERS = re.compile(
    r"\$\{(?:CALLERID\((?:num|name|ani|dnid|rdnis|all)[^}]*\)|EXTEN\b|SIP_HEADER|PJSIP_HEADER)[^}]*\}"
)
_GUARDED = re.compile(r"\$\{(?:FILTER|BASE64_ENCODE|LEN)\((?:[^${}]|\$\{[^{}]*\})*\}")


@dataclass(slots=True)
class _Line:
    context: str
    pattern: str
    label: str
    app: str


def lint_dialplan(text: str) -> list[str]:
    """One sentence for each thing in ``extensions.conf`` that could leave a caller in the lurch or let a stranger in.

    Rules: every extension ends by hanging up, going on or returning; every jump has a target; no pattern
    that matches everything and none that matches digits into a Dial; nothing that a stranger set is used
    unfiltered; no shell; no AGI in an ``h`` extension (the caller is gone, nothing can be asked).
    """
    lines = list(_lines(text))
    return [
        *_open_ends(lines),
        *_lost_jumps(lines),
        *_loose_patterns(lines),
        *_strangers(lines),
        *_forbidden(lines),
    ]


def _lines(text: str) -> Iterator[_Line]:
    context = pattern = ""
    for raw in text.splitlines():
        line = raw.split(";", 1)[0].rstrip() if raw.lstrip().startswith(";") else raw.rstrip()
        if match := _CONTEXT.match(line):
            context, pattern = match["name"], ""
        elif match := _EXTEN.match(line):
            pattern = match["pattern"]
            yield _Line(context, pattern, match["label"] or "", match["app"])
        elif match := _SAME.match(line):
            yield _Line(context, pattern, match["label"] or "", match["app"])


def _open_ends(lines: list[_Line]) -> Iterator[str]:
    last = {(line.context, line.pattern): line.app for line in lines}
    for (context, pattern), app in last.items():
        if not app.startswith(_ENDS):
            yield f"[{context}] {pattern} ends with '{app}', where a caller falls out; end with Goto, Return or Hangup."


def _lost_jumps(lines: list[_Line]) -> Iterator[str]:
    contexts = {line.context for line in lines}
    places = {(line.context, line.pattern) for line in lines}
    patterned = {line.context for line in lines if line.pattern.startswith("_")}
    for line in lines:
        for context, exten, _ in _JUMP.findall(line.app):
            known = (context, exten) in places or (
                (context in patterned or "$" in exten) and context in contexts
            )
            if not known:
                yield f"[{line.context}] {line.pattern} goes to {context},{exten}, which does not exist."


def _loose_patterns(lines: list[_Line]) -> Iterator[str]:
    for line in lines:
        if line.pattern in {"_.", "_!", "_X.", "_X!"}:
            yield f"[{line.context}] has the pattern '{line.pattern}', which takes anything; name what may come."
        if line.pattern.startswith("_") and line.app.startswith("Dial("):
            yield f"[{line.context}] {line.pattern} dials whatever matched a pattern; dial checked numbers only."


def _strangers(lines: list[_Line]) -> Iterator[str]:
    for line in lines:
        if found := _STRANGERS.search(_GUARDED.sub("", line.app)):
            yield f"[{line.context}] {line.pattern} uses {found[0]} as it came; read it with FILTER()."


def _forbidden(lines: list[_Line]) -> Iterator[str]:
    for line in lines:
        if re.search(r"\b(?:System|TrySystem|SHELL|MixMonitor|Exec|ExecIf|EVAL)\(", line.app):
            yield f"[{line.context}] {line.pattern} uses '{line.app}', through which text could become a command."
        if line.pattern == "h" and "AGI(" in line.app:
            yield f"[{line.context}] runs an AGI in 'h', where nobody is left to speak with."


# Accounts, words, sounds, the live PBX -------------------------------------------------------


def _lint_manager(text: str) -> Iterator[str]:
    for line in text.splitlines():
        key, _, value = line.partition("=")
        rights = {right.strip() for right in value.split(",")}
        if key.strip() == "write" and (bad := rights & {"system", "command", "config", "all"}):
            yield f"an AMI account may write {', '.join(sorted(bad))}; nobody of ours needs that."
        if key.strip() == "read" and (bad := rights & {"all", "command", "config"}):
            yield f"an AMI account may read {', '.join(sorted(bad))}; nobody of ours needs that."
    if "timestampevents = yes" not in text:
        yield "timestampevents is not on: forged events could not be told from real ones."


def _missing_sounds(settings: Settings) -> Iterator[str]:
    asterisk = find_asterisk()
    if asterisk is None:
        yield "There is no Asterisk 20 or later with sounds on this machine; run: fourthring pbx build"
        return
    for language in settings.languages:
        if not asterisk.speaks(language):
            yield (
                f"the sounds folder has nothing for '{language}', and Asterisk would speak English without a word; "
                f"install asterisk-core-sounds-{language}-wav or run: fourthring pbx build --anyway"
            )


def _live_differences(settings: Settings, files: dict[str, str]) -> Iterator[str]:
    pbx = PrivatePbx.of(settings)
    if not pbx.status().running:
        yield "the PBX does not run; start it with: fourthring pbx start"
        return
    for name, text in files.items():
        path: Path = pbx.paths.etc / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            yield f"{name} is not what the configuration says now; run: fourthring pbx reload"
    try:
        users = pbx.cli("manager show users")
    except FourthRingError as error:
        yield str(error)
        return
    for account in ("fourthring-bridge", "fourthring-dialer", "fourthring-supervisor"):
        if account not in users:
            yield f"the AMI account '{account}' is not loaded; run: fourthring pbx reload"


def unread_events_overlap(read: frozenset[str]) -> set[str]:
    """Events that are both read by us and filtered out by Asterisk: must be none."""
    return set(UNREAD_EVENTS) & read
