"""What the capture conversation may know of the world: whom we may ring, when, and what we know of the caller."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from agi.request import StepRequest
from agi.turns import CaptureFacts, CaptureState, Stage
from ami_bridge.core.merging import RequestLimits, Standing, standing
from ami_bridge.core.spelling import letters_of
from ami_bridge.core.suiting import common_windows
from ami_bridge.dialer.calling_hours import CallingHours
from ami_bridge.numbers import CheckedNumber, Refusal, check_number

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
# Looked at to find a flood; more than the limits can ask for.
_MOST = 500
# Stages that end with a number which somebody may be asked to ring.
_NUMBERING = frozenset({Stage.PERMISSION, Stage.NUMBER_TYPE})
#: How far ahead a day can be chosen.
_AHEAD = timedelta(days=8)
# Stages whose next question may speak of hours.
_SUITING = frozenset(
    {Stage.SUBJECT, Stage.SUITS, Stage.SUITS_TODAY, Stage.SUITS_DAY, Stage.SUITS_HOUR, Stage.SUMMARY}
)


async def capture_facts(
    request: StepRequest, department: str, state: CaptureState, result: str
) -> CaptureFacts:
    """The facts for the turn after ``result``, which may hold a number that was typed just now."""
    settings, rules = request.settings, request.settings.callback
    own_numbers = tuple(did for each in settings.departments.values() for did in each.dids)

    def checked(text: str) -> CheckedNumber | Refusal:
        return check_number(
            text, settings.company.country, rules.allowed_regions, own_numbers, rules.denied_prefixes
        )

    caller = checked(request.environment.caller)
    typed = checked(result.rpartition("*")[2]) if state.stage is Stage.NUMBER_TYPE else None
    told = {found.e164 for found in (caller, typed) if isinstance(found, CheckedNumber)}
    known = {number: await _standing(request, number) for number in sorted(told | {state.number} - {""})}
    forbidden = {entry.number for entry in await request.store.do_not_call(known)}
    flood = await _flood(request, state)
    refused = {
        number: Refusal.TOO_MANY for number, found in known.items() if found.too_many or flood.of_caller
    }
    refused |= dict.fromkeys(forbidden, Refusal.DO_NOT_CALL)
    refusal: Refusal | None = None
    if isinstance(caller, CheckedNumber):
        refusal = refused.get(caller.e164)
    elif request.environment.caller:
        refusal = caller
    ours = settings.zone_info_of(department)
    hours = CallingHours(settings).of_customer(department, state.number) if state.number else ()
    zone = hours[0].zone if len(hours) == 1 and isinstance(hours[0].zone, ZoneInfo) else ours
    suiting = (settings.schedule_of(department), *hours) if state.stage in _SUITING else ()
    return CaptureFacts(
        caller=caller if isinstance(caller, CheckedNumber) and refusal is None else None,
        local_time=request.now.astimezone(ours),
        country=settings.company.country,
        allowed_regions=rules.allowed_regions,
        own_numbers=own_numbers,
        denied_prefixes=rules.denied_prefixes,
        refused=refused,
        noted={number for number, found in known.items() if found.noted},
        not_before={number: found.not_before for number, found in known.items() if found.not_before},
        caller_refused=refusal,
        caller_id=caller.e164 if isinstance(caller, CheckedNumber) else request.environment.caller,
        open_now=settings.schedule_of(department).is_open(request.now),
        flooded=flood.of_did,
        did=flood.did,
        spells=_spells(request, department),
        zone=zone,
        zone_is_callers=zone != ours,
        windows=common_windows(suiting, request.now, request.now + _AHEAD),
    )


async def _standing(request: StepRequest, number: str) -> Standing:
    rules = request.settings.callback
    known = await request.store.callbacks_of_number(number, since=request.now - _DAY)
    limits = RequestLimits(rules.requests_per_day, timedelta(minutes=rules.again_after_minutes))
    return standing(known, request.now, limits)


@dataclass(frozen=True, slots=True)
class _Flood:
    """Whether this caller, or everybody at this DID, has asked for more callbacks within the hour than people do."""

    of_caller: bool = False
    of_did: bool = False
    did: str = ""


async def _flood(request: StepRequest, state: CaptureState) -> _Flood:
    if state.stage not in _NUMBERING:
        return _Flood()
    rules, since = request.settings.callback, request.now - _HOUR
    recent = [
        each
        for each in await request.store.callbacks(since=since, limit=_MOST)
        if each.origin == "capture" and each.channel_uniqueid != request.environment.uniqueid
    ]
    caller = request.environment.caller
    of_caller = bool(caller) and sum(each.caller_id == caller for each in recent) >= rules.requests_per_caller
    call = await request.store.find_call_by_uniqueid(request.environment.uniqueid)
    if call is None or len(recent) < rules.requests_per_did:
        return _Flood(of_caller)
    # A capture is stored a little after its call began.
    calls = await request.store.calls(since=since - _HOUR, limit=4 * _MOST)
    here = {each.id for each in calls if each.did == call.did}
    return _Flood(of_caller, sum(each.call_id in here for each in recent) >= rules.requests_per_did, call.did)


def _spells(request: StepRequest, department: str) -> str:
    """The caller's language, when names are spelled by key and its letters can be read back."""
    if not request.settings.callback.spell_names:
        return ""
    book = request.voice.book_of(department, request.environment.language)
    letters = letters_of(book.language)
    return book.language if letters and all(f"letters.{each}" in book.phrases for each in letters) else ""
