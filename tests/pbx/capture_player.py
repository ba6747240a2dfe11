"""Plays the stories of ``capture_stories`` with real phones and looks into the store afterwards."""

from __future__ import annotations

import asyncio
import re
import time
import wave
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from ami_bridge.adapters.store import DoNotCall, SqlStore
from ami_bridge.core.callbacks import Callback, CallbackState
from ami_bridge.demo.ear import NotHeard
from ami_bridge.demo.hearing import Match, Samples, correlate, load_wav
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from ami_bridge.numbers import read_back_groups
from tests.pbx.calls import eventually, spoken
from tests.pbx.capture_story import COUGH, HANG_UP, LISTEN, NOTHING, WAYS, Act, Kept, Say, Script, Story

#: So much of a prompt tells it from the others; who knows what comes presses the key without waiting for the end.
_ENOUGH_SECONDS = 1.6
_PATIENCE_SECONDS = 45.0
_LOOK_SECONDS = 0.3
_HEARD_SHARE = 0.4
_MOSCOW = ZoneInfo("Europe/Moscow")
# Where it is morning when in Moscow nothing is left of the day.
_EASTERNER = "74152421299"


class Player:
    """One telephone that plays one story after another."""

    def __init__(
        self,
        stage: Stage,
        store: SqlStore,
        expected: ExpectedPrompts,
        phone: Softphone,
        *,
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        self._patience = patience
        self._stage, self._store, self._expected, self._phone = stage, store, expected, phone
        self._since = 0.0

    async def play(self, story: Story, number: str) -> None:
        """Every call of the story, then what must be kept. Raises AssertionError or NotHeard."""
        began = datetime.now(UTC)
        caller = _caller(story, number)
        if story.forbidden:
            await self._store.forbid_calling(DoNotCall(story.forbidden, began, "test"))
        for script in story.calls:
            await self.call(story, caller, script)
        kept = await self._kept(story.kept, WAYS[story.way][1], caller, began)
        await self._compare(story, kept, caller)
        await self._trail(story, caller, began)

    # The call ----------------------------------------------------------------------------

    async def begin(self, did: str, caller: str) -> None:
        """Dial, and be answered."""
        await self._phone.speak(None)
        await self._phone.dial(did, from_user=caller)
        self._since = (await self._phone.wait_for(PhoneState.ESTABLISHED, 20)).monotonic

    async def call(self, story: Story, caller: str, script: Script) -> None:
        """One call from the first word to the last."""
        try:
            await self.begin(WAYS[story.way][0], caller)
            await self.follow(story, caller, script)
        finally:
            await self.hang_up()

    async def follow(self, story: Story, caller: str, script: Script) -> None:
        """One step after the other; what fails names its line."""
        for line, (heard, act) in enumerate(script):
            try:
                await self.step(story, caller, heard, act)
            except Exception as error:
                error.add_note(f"line {line}: {heard!r} → {act!r}")
                raise

    async def step(self, story: Story, caller: str, heard: str, act: str | Say | Act) -> None:
        """Hear one thing and do one."""
        if heard != "*":
            await self._hears(story, caller, heard)
        if isinstance(act, Say):
            await self._says(story, act)
        elif act is HANG_UP:
            assert self._phone.state is PhoneState.ESTABLISHED, "whoever called hangs up first (S12)"
            await self.hang_up()
        elif act is not LISTEN:
            await self._phone.send_dtmf(str(act).format(caller=caller, part=_part_key(caller)))

    async def _hears(self, story: Story, caller: str, heard: str) -> None:
        prompt = await self._prompt(story, caller, heard.removesuffix("!"))
        samples, rate = load_wav(prompt)
        enough = int(_ENOUGH_SECONDS * rate)
        piece = samples[-enough:] if heard.endswith("!") else samples[:enough]
        self._since = await recognised(self._phone, piece, self._since, prompt.stem, self._patience)

    async def _prompt(self, story: Story, caller: str, heard: str) -> Path:
        _, department, language = WAYS[story.way]
        kind, _, name = heard.partition(":") if ":" in heard else ("", "", heard)
        if kind == "greeting":
            name, _, agent = name.partition(":")
            return self._expected.greeting(name, department, agent, language=language)
        if kind == "fixed":
            return self._expected.fixed(name, department)
        if kind == "waits":
            return self._expected.phrase(name, department, language=language)
        if kind == "said":
            return await spoken(self._stage, name, language)
        if kind == "number":
            digits = caller if name == "caller" else f"7{name[1:]}"
            return await asyncio.to_thread(self._number, f"+{digits}", department, language)
        return self._expected.phrase(f"capture.{name}", department, caller=caller, language=language)

    def _number(self, e164: str, department: str, language: str) -> Path:
        target = self._stage.phones_folder / f"number-{language}-{e164[1:]}"
        book = self._stage.voice.book_of(department, language)
        self._stage.voice.speak_number(read_back_groups(e164, "RU"), book, target)
        return target.with_suffix(".wav")

    async def _says(self, story: Story, say: Say) -> None:
        # The tone; whoever begins a little later is still heard from the first word.
        await asyncio.sleep(max(0.0, self._since + 0.8 - time.monotonic()))
        seconds = 0.3
        if say.words == COUGH:
            seconds = await self._phone.speak(_cough(self._stage))
        elif say.words != NOTHING:
            seconds = await self._phone.speak(await spoken(self._stage, say.words, WAYS[story.way][2]))
        await asyncio.sleep(seconds + 0.4)
        if say.end is None:
            await self.hang_up()
        elif say.end:
            await self._phone.send_dtmf(say.end)

    async def hang_up(self) -> None:
        """End the call unless it has ended."""
        if self._phone.state not in {PhoneState.CLOSED, PhoneState.IDLE}:
            await self._phone.hangup()
            await self._phone.wait_for(PhoneState.IDLE, 10)

    # What was kept -----------------------------------------------------------------------

    async def _kept(self, wanted: Kept, department: str, caller: str, began: datetime) -> Callback:
        told = "" if caller == "anonymous" else caller

        async def ask() -> Callback | None:
            found = await self._store.callbacks(department=department, since=began, limit=500)
            ours = [each for each in found if each.caller_id.lstrip("+") == told]
            if wanted.number:
                ours = [each for each in ours if each.number == wanted.number]
            elif not told:
                ours = [each for each in ours if each.number is None]
            merged = [each for each in ours if each.state is CallbackState.MERGED]
            open_ones = [each for each in ours if each.state is wanted.state]
            settled = len(merged) == wanted.merged and len(open_ones) == 1
            if settled and wanted.merged:
                assert {each.merged_into for each in merged} == {open_ones[0].id}, "merged into another"
                assert open_ones[0].came_at <= min(each.came_at for each in merged), "the old place is lost"
            return open_ones[0] if settled else None

        return await eventually(ask, f"one callback of {caller} as {wanted.state}", 30)

    async def _compare(self, story: Story, kept: Callback, caller: str) -> None:
        wanted = story.kept
        number = f"+{caller}" if wanted.number == "" else wanted.number
        consents = tuple(each.key for each in await self._store.consents(kept.id))
        found = (kept.number, kept.number_source, kept.number_confirmed, consents, kept.origin)
        agreed = (number, wanted.source, wanted.confirmed, wanted.consents, wanted.origin)
        assert found == agreed, f"{found} instead of {agreed}"
        assert kept.language == WAYS[story.way][2] or wanted.origin == "missed"
        assert kept.needs_confirmation is (wanted.source == "typed")
        if kept.consent is not None and number is not None:
            assert kept.consent.number in {number, ""}
        assert wanted.due is None or wanted.due(kept), (kept.due_at, kept.suits_text, kept.suits_until)
        await self._recorded(kept.name_recording, wanted.name, kept.language)
        await self._recorded(kept.subject_recording, wanted.subject, kept.language)

    async def _recorded(self, stored: str | None, words: str | None, language: str) -> None:
        """The recording can be played, and holds what was said: from its beginning, without the silence around it."""
        if words is None:
            assert stored is None, "a recording of nothing was kept"
            return
        assert stored is not None, f"{words!r} was not kept"
        said, _ = load_wav(await spoken(self._stage, words, language))
        heard, rate = load_wav(Path(stored))
        match = correlate(heard, said)
        assert rate == 8000
        assert _enough(match), f"{words!r} is not in {stored}: {match}"
        assert len(heard) < len(said) + rate, "the silence was not trimmed"

    async def _trail(self, story: Story, caller: str, began: datetime) -> None:
        """Every refusal is in the audit trail, with its reason."""
        entries = await self._store.audits(since=began, limit=1000)
        told = {
            (entry.subject, entry.detail["reason"])
            for entry in entries
            if entry.action == "callback.refused"
            and entry.detail["caller"].lstrip("+") == caller.replace("anonymous", "")
        }
        wanted = {(typed.format(caller=caller), why) for typed, why in story.refused.items()}
        assert told == wanted, f"refused: {told} instead of {wanted}"


async def recognised(phone: Softphone, piece: Samples, since: float, name: str, patience: float) -> float:
    """Wait until ``piece`` of a prompt was heard, and return when it ended (monotonic).

    That prompts are heard whole is proved elsewhere; here many phones share a machine, and a lost packet must not
    make a caller deaf.

    Raises:
        NotHeard: it was not within ``patience`` seconds.
    """
    deadline = max(since, time.monotonic()) + patience
    match: Match | None = None
    while time.monotonic() < deadline:
        await asyncio.sleep(_LOOK_SECONDS)
        heard = phone.heard_call()
        first = max(heard.started, since - 0.1)
        part = heard.samples[int((first - heard.started) * heard.rate) :]
        if len(part) < len(piece):
            continue
        match = await asyncio.to_thread(correlate, part, piece, rate=heard.rate)
        if _enough(match):
            return first + match.start_seconds + len(piece) / heard.rate - 0.05
    raise NotHeard(phone.name, name, match)


def _enough(match: Match) -> bool:
    return match.slices - match.missing >= _HEARD_SHARE * match.slices


def _caller(story: Story, number: str) -> str:
    if story.caller == "today":
        return number if datetime.now(_MOSCOW).hour < 21 else _EASTERNER
    return story.caller or number


def _part_key(caller: str) -> str:
    """The key of a part of today of which some is left, where the caller is."""
    zone = _MOSCOW if not re.match("74152", caller) else ZoneInfo("Asia/Kamchatka")
    hour = datetime.now(zone).hour
    return "1" if hour < 11 else "2" if hour < 17 else "3"


def _cough(stage: Stage) -> Path:
    """Eighty milliseconds of sound: less than any word."""
    path = stage.phones_folder / "cough.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        file.writeframes(
            b"".join(int(9000 * (-1) ** (n // 9)).to_bytes(2, "little", signed=True) for n in range(640))
        )
    return path


async def play_all(
    stage: Stage, store: SqlStore, expected: ExpectedPrompts, stories: tuple[Story, ...], telephones: int
) -> list[str]:
    """Play ``stories`` on so many telephones side by side, the long ones first; what went wrong, one line each.

    On a machine that is too busy the AGI answers too late and the dialplan takes a plain message instead, as it
    must. Such a story (and no other) is played once more.
    """
    waiting = sorted(enumerate(stories), key=lambda each: -each[1].seconds)
    wrong: list[str] = []
    played_again: set[int] = set()

    async def one(index: int) -> None:
        phone = await stage.caller("79165551000", index=index)
        player = Player(stage, store, expected, phone)
        while waiting:
            number, story = waiting.pop(0)
            began, late = time.monotonic(), _late_steps(stage)
            try:
                await player.play(story, f"7916555{1000 + number + 100 * (number in played_again)}")
            except Exception as error:
                notes = "; ".join(getattr(error, "__notes__", ()))
                fault = f"{story.name}: {type(error).__name__} {error} {notes}"
                again = number not in played_again and _late_steps(stage) > late
                print("again:" if again else "wrong:", fault)
                if again:
                    played_again.add(number)
                    waiting.append((number, story))
                else:
                    wrong.append(fault)
            print(f"{time.monotonic() - began:5.1f} s  {story.name}")

    await asyncio.gather(*(one(index) for index in range(telephones)))
    return wrong


def _late_steps(stage: Stage) -> int:
    """How many steps the AGI has given up so far because they took too long."""
    log = (stage.log_folder / "agi.log").read_text(encoding="utf-8", errors="replace")
    return log.count("it took too long") + log.count("timed out")
