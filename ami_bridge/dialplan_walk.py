"""Walks every path that a caller can take through the rendered dialplan, handed over by an agent or not.

Both sides of each condition are taken, every key and time-out happens, every AGI fails and succeeds: no
path may fall out of the dialplan, jump to where nothing is, or hang up on a caller who was offered neither
a person nor the queue, a callback or a message (etiquette rule S8).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ami_bridge.core.ring_policy import FAILOVER_CONTEXT, RING_CLOCK_CONTEXT

ENTRANCE = "from-carrier"
#: Where a caller comes in whom an agent hands over, or whom nobody fetched from a parking place.
_HANDED_OVER = ("from-agents", "parked-back")
_CONTEXT = re.compile(r"^\[([^\]]+)\]")
_LINE = re.compile(r"^(?:exten\s*=>\s*(?P<exten>.+?),1|\s*same\s*=>\s*n(?:\((?P<label>\w+)\))?),(?P<app>.+)$")
_SET = re.compile(r"^Set\(_{0,2}(FR_\w+)=(.*)\)$")
_DIAL_GOTO = re.compile(r"G\(([^^)]+)\^([^^)]+)\^1\)")
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z_]*)\}")
# What these do for a caller: leave a message. Waiting and talking depend on how they end, see _ENDINGS.
_OFFERS = ("Record(",)
# The AGI has planned a turn: the conversation about a callback is under way.
_PLANNED_TURN = "${FR_DO}"
# Where the path goes on by the value of a variable, only these are followed; the rest could be anything.
_FOLLOWED = frozenset({"FR_DEPARTMENT", "FR_LOST", "FR_ABOUT", "FR_CONVERSATION", "FR_CALLER_CHANNEL"})
# The channel that is walked is the caller's own.
_OWN = ("CHANNEL", "the caller's")
# How these applications can end: (variable, value, whether the caller has had what they offer). Who waited in vain has
# had nothing yet.
_ENDINGS = {
    "Queue(": (("QUEUESTATUS", "CONTINUE", True), ("QUEUESTATUS", "TIMEOUT", False)),
    "Bridge(": (("BRIDGERESULT", "SUCCESS", True), ("BRIDGERESULT", "FAILED", False)),
    "ConfBridge(": (("CONFBRIDGE_RESULT", "ENDMARKED", True), ("CONFBRIDGE_RESULT", "FAILED", False)),
}
_COMPARED = re.compile(r'^\$\["([^"]*)" (=|!=) "([^"]*)"\]$')

Place = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class _Caller:
    """Where a caller is, where a Gosub returns to, what is set, and whether anything was offered yet."""

    at: Place
    back: tuple[Place, ...] = ()
    values: frozenset[tuple[str, str]] = frozenset()
    offered: bool = False


@dataclass(slots=True)
class _Dialplan:
    apps: dict[Place, str] = field(default_factory=dict)
    labels: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def extensions(self, context: str) -> list[str]:
        return list(dict.fromkeys(exten for where, exten, _ in self.apps if where == context))


def walk_callers(text: str) -> list[str]:
    """One sentence for each way in which a caller of this ``extensions.conf`` is left in the lurch."""
    dialplan = _read(text)
    waiting = list(_entering(dialplan))
    seen = set(waiting)
    faults = dict.fromkeys([] if dialplan.extensions(ENTRANCE) else [f"There is no context [{ENTRANCE}]."])
    while waiting:
        caller = waiting.pop()
        try:
            steps = list(_steps(dialplan, caller))
        except _LurchError as error:
            faults[str(error)] = None
            continue
        for step in steps:
            if step not in seen:
                seen.add(step)
                waiting.append(step)
    return list(faults)


def _entering(dialplan: _Dialplan) -> Iterator[_Caller]:
    """Everybody with whom a walk begins: from outside, and handed over after having come in at any department."""
    for exten in dialplan.extensions(ENTRANCE):
        yield _Caller((ENTRANCE, exten, 1), values=frozenset({_OWN}))
    for department in dialplan.extensions(FAILOVER_CONTEXT):
        known = {_OWN, ("FR_CALLER_CHANNEL", _OWN[1]), ("FR_DEPARTMENT", department)}
        for context in _HANDED_OVER:
            for exten in dialplan.extensions(context):
                yield _Caller((context, exten, 1), values=frozenset(known))


class _LurchError(Exception):
    """The sentence of a fault."""


def _read(text: str) -> _Dialplan:
    dialplan, context, exten, priority = _Dialplan(), "", "", 0
    for line in text.splitlines():
        if found := _CONTEXT.match(line):
            context = found[1]
        elif found := _LINE.match(line):
            exten, priority = (found["exten"], 1) if found["exten"] else (exten, priority + 1)
            dialplan.apps[context, exten, priority] = found["app"]
            if found["label"]:
                dialplan.labels[context, exten, found["label"]] = priority
    return dialplan


def _steps(dialplan: _Dialplan, caller: _Caller) -> Iterator[_Caller]:
    context, exten, priority = caller.at
    app = dialplan.apps.get(caller.at)
    if app is None:
        raise _LurchError(f"A caller falls out of [{context}] {exten} after priority {priority - 1}.")
    further = replace(
        caller, at=(context, exten, priority + 1), offered=caller.offered or app.startswith(_OFFERS)
    )
    if app.startswith(("Hangup(", "Return(")):
        yield from _ends(caller, app)
    elif app.startswith(("Goto(", "GotoIf(", "Gosub(")):
        yield from _jumps(dialplan, caller, further, app)
    elif found := _SET.match(app):
        yield replace(further, values=_with(caller.values, found[1], found[2]))
    elif endings := next((each for name, each in _ENDINGS.items() if app.startswith(name)), None):
        for name, value, had in endings:
            values = frozenset({**dict(caller.values), name: value}.items())
            yield replace(further, values=values, offered=had or caller.offered)
        yield from _elsewhere(dialplan, further, app)
    else:
        yield further
        yield from _elsewhere(dialplan, further, app)


def _ends(caller: _Caller, app: str) -> Iterator[_Caller]:
    context, exten, _ = caller.at
    if app.startswith("Hangup("):
        if not caller.offered:
            raise _LurchError(
                f"[{context}] {exten} hangs up on a caller who was offered no person, queue, callback or message (S8)."
            )
    elif caller.back:
        yield replace(caller, at=caller.back[-1], back=caller.back[:-1])
    else:
        raise _LurchError(f"[{context}] {exten} returns, but a caller came there by Goto.")


def _jumps(dialplan: _Dialplan, caller: _Caller, further: _Caller, app: str) -> Iterator[_Caller]:
    name, _, rest = app[:-1].partition("(")
    if name == "Gosub":
        called = replace(caller, back=(*caller.back, further.at))
        yield from _goto(dialplan, called, rest.partition("(")[0])
    elif name == "Goto":
        yield from _goto(dialplan, replace(caller, offered=caller.offered or _PLANNED_TURN in rest), rest)
    else:
        condition, _, ways = rest.rpartition("?")
        then, _, otherwise = ways.partition(":")
        known = _truth(caller, condition)
        for target in (then,) * (known is not False) + (otherwise,) * (known is not True):
            yield from _goto(dialplan, caller, target) if target else (further,)


def _truth(caller: _Caller, condition: str) -> bool | None:
    """Whether ``condition`` holds; None where it may or may not."""
    found = _COMPARED.match(condition)
    if found is None:
        return None
    left, right = (_filled(caller.values, text) for text in found.group(1, 3))
    return None if "$" in left + right else (left == right) == (found[2] == "=")


def _elsewhere(dialplan: _Dialplan, caller: _Caller, app: str) -> Iterator[_Caller]:
    """Where else ``app`` can send its caller: an answered Dial, a key, an absolute time-out."""
    context = caller.at[0]
    if app.startswith("Dial(") and (found := _DIAL_GOTO.search(app)):
        yield from _goto(dialplan, caller, f"{found[1]},{found[2]},1")
    if app.startswith("Dial(") and context == RING_CLOCK_CONTEXT:
        # The bridge's Redirect at the deadline.
        yield from _goto(dialplan, caller, f"{FAILOVER_CONTEXT},{caller.at[1]},1")
    elif app.startswith("Queue("):
        yield from _goto(dialplan, caller, "queue-keys,1,1")
    elif app.startswith("Background("):
        yield from _goto(dialplan, caller, f"{context},1,1")
    elif app.startswith("AGI("):
        raise _LurchError(
            f"[{context}] {caller.at[1]} runs AGI on the caller's own channel: whoever answers can hold him there. "
            "Ask through [ask]."
        )


def _goto(dialplan: _Dialplan, caller: _Caller, target: str) -> Iterator[_Caller]:
    written = [_filled(caller.values, part) for part in target.split(",")]
    context, exten, where = [*caller.at[:2], ""][: 3 - len(written)] + written
    # Where the value is the AGI's, any extension may follow, and an unheard-of one needs "i".
    extens = [*dialplan.extensions(context), "i"] if "${" in exten else [exten]
    for known in dict.fromkeys(extens):
        priority = int(where) if where.isdecimal() else dialplan.labels.get((context, known, where), 0)
        if (context, known, priority) not in dialplan.apps:
            raise _LurchError(
                f"[{caller.at[0]}] {caller.at[1]} goes to {context},{known},{where}, which does not exist."
            )
        yield replace(caller, at=(context, known, priority))


def _with(values: frozenset[tuple[str, str]], name: str, value: str) -> frozenset[tuple[str, str]]:
    if name not in _FOLLOWED:
        return values
    return frozenset({**dict(values), name: _filled(values, value)}.items())


def _filled(values: frozenset[tuple[str, str]], text: str) -> str:
    """``text`` with the variables whose value is known."""
    known = dict(values)
    return _VARIABLE.sub(lambda found: known.get(found[1], found[0]), text)
