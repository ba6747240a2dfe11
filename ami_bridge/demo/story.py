"""The demo's story: one caller, from the first ring to the note after the call-back.

Each step states what it expects and reports what was really seen: what the caller's phone recorded, what
the store holds, what the desk answers. A step that is not seen ends the story.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from agi.voice.cache import say
from ami_bridge import secrets
from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import FINAL, Callback, CallbackEvent, CallbackState, IllegalTransition
from ami_bridge.demo.ear import Ear
from ami_bridge.demo.hearing import correlate, load_wav, ring_tones
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from ami_bridge.errors import FourthRingError

CALLER = "79161234567"
# The ring clock against the caller's own phone: what the acceptance of the product allows.
TOLERANCE_SECONDS = 0.3
# A dead dialer's lease (60 s) and a look at what its call left in the log.
_FOUND_OUT_SECONDS = 75.0


class StoryBroken(FourthRingError):
    """A step was not seen."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was seen. ``tells`` is for people, ``seen`` the evidence."""

    name: str
    tells: str
    seen: dict[str, Any] = field(default_factory=dict)


def expect(condition: object, sentence: str) -> None:
    """Go on only when ``condition`` holds.

    Raises:
        StoryBroken: it does not; ``sentence`` says what was seen instead.
    """
    if not condition:
        raise StoryBroken(sentence)


class Story:
    """Plays the story on a running stage; :meth:`steps` yields each step as it is seen."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._settings = stage.settings
        self._department = next(key for key, value in self._settings.departments.items() if value.direct)
        self._direct = self._settings.departments[self._department].direct[0]
        self._expected = ExpectedPrompts(self._settings, stage.voice)
        self._began = datetime.now(UTC)
        self._store = SqlStore(self._settings.store_url)
        self._agents: dict[str, Softphone] = {}

    async def steps(self) -> AsyncIterator[Step]:
        """Every step, in order.

        Raises:
            FourthRingError: what was not seen.
        """
        await self._store.open()
        try:
            yield await self._pick_up_phones()
            async for step in self._direct_call():
                yield step
            async for step in self._capture():
                yield step
            yield await self._record_of_first_call()
            async for step in self._ring_back():
                yield step
            yield await self._note()
        finally:
            await self._store.close()

    # Act one: four rings ------------------------------------------------------------------

    async def _pick_up_phones(self) -> Step:
        # Before anybody's phone is there: the dialer would ring it at once for what was left.
        await self._forget_earlier_stories()
        members = self._settings.departments[self._department].queue
        for extension in members:
            self._agents[extension] = await self._stage.agent(extension)
        self._caller = await self._stage.caller(CALLER)
        self._customer = await self._stage.customer()
        names = [self._settings.agents[extension].names[self._language] for extension in members]
        return Step("phones", f"{' and '.join(names)} sit at their phones.", {"registered": list(members)})

    async def _forget_earlier_stories(self) -> None:
        """A story that was broken off left an open callback of the same caller, which would be rung first.

        What it left being dialled is in the dialer's hands, until it has found out what became of that.
        """
        deadline = time.monotonic() + _FOUND_OUT_SECONDS
        while left := await self._left_open():
            for callback in left:
                with suppress(IllegalTransition):
                    await self._store.update_callback(callback.id, event=CallbackEvent.CANCELLED, by="demo")
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(0.5)

    async def _left_open(self) -> list[Callback]:
        unfinished = await self._store.callbacks(states=set(CallbackState) - FINAL, limit=1000)
        return [each for each in unfinished if each.caller_id.lstrip("+") == CALLER]

    @property
    def _language(self) -> str:
        return self._settings.language_of(self._department)

    async def _direct_call(self) -> AsyncIterator[Step]:
        did = self._settings.departments[self._department].dids[0]
        await self._caller.dial(did)
        phone = self._agents[self._direct]
        rung = (await phone.wait_for(PhoneState.INCOMING, 5)).monotonic
        yield Step(
            "dialled",
            f"{CALLER} dials {did}; the phone of {self._direct} rings. Nobody picks up.",
            {"did": did},
        )
        ring = self._settings.ring_of(self._department)
        for number in range(1, ring.answer_by_ring + 1):
            starts = rung + (number - 1) * ring.cadence.period_seconds
            await asyncio.sleep(max(0.0, starts - time.monotonic()))
            yield Step(f"ring_{number}", f"Ring {number} …", {"seconds": round(time.monotonic() - rung, 2)})
        answered = (await self._caller.wait_for(PhoneState.ESTABLISHED, 10)).monotonic
        took, due = answered - rung, ring.cadence.deadline_seconds(ring.answer_by_ring)
        expect(
            abs(took - due) <= TOLERANCE_SECONDS,
            f"The queue answered {took:.2f} s after the first ring; {due:.1f} ± {TOLERANCE_SECONDS} s was due.",
        )
        yield Step(
            "failover",
            f"The {ring.answer_by_ring}th ring has ended ({took:.2f} s): the queue answers.",
            {"seconds": round(took, 3), "due_seconds": due},
        )
        yield self._tones_heard(ring.zone, ring.answer_by_ring)
        heard = await self._hears(
            self._caller, self._expected.greeting("queue-join", self._department), answered
        )
        yield Step("greeting", "The caller hears the greeting, whole.", heard)
        await self._agents[self._other].wait_for(PhoneState.INCOMING, 20)
        yield Step(
            "queue",
            "The queue rings the colleagues; they are away from their desks.",
            {"ringing": self._other},
        )

    @property
    def _other(self) -> str:
        return next(extension for extension in self._agents if extension != self._direct)

    def _tones_heard(self, zone: str, due: int) -> Step:
        heard = self._caller.heard_call()
        tones = ring_tones(heard.samples, zone, shortest_seconds=0.3)
        expect(len(tones) == due, f"The caller heard {len(tones)} ring tones; {due} were due.")
        return Step(
            "tones_heard",
            f"The caller's phone recorded exactly {due} ring tones.",
            {"tones": [[round(tone.start, 2), round(tone.end, 2)] for tone in tones]},
        )

    # Act two: a callback -----------------------------------------------------------------------

    async def _capture(self) -> AsyncIterator[Step]:
        since = time.monotonic()
        await self._caller.send_dtmf("1")
        yield Step("key_1", "The caller presses 1: please ring me back.", {})
        await self._says_after("capture.permission", since, "1")
        yield Step("permission", "Asked for permission, he presses 1.", {})
        await self._says_after("capture.number_confirm", since, "1")
        yield Step("number", "His number is read back; he confirms it with 1.", {})
        self._name = await self._speech("name", self._words["name"])
        await self._speaks_after("capture.name", since, self._name)
        yield Step("name", f"He says his name: «{self._words['name']}»", {})
        self._subject = await self._speech("subject", self._words["subject"])
        await self._speaks_after("capture.subject", since, self._subject)
        yield Step("subject", f"He says what it is about: «{self._words['subject']}»", {})
        await self._says_after("capture.suits", since, "1")
        yield Step("suits", "Asked when it suits him, he presses 1: as soon as possible.", {})
        await self._says_after("capture.summary_confirm", since, "1", timeout=60)
        heard = await self._hears(
            self._caller, self._expected.phrase("capture.accepted", self._department), since
        )
        yield Step("accepted", "He hears that his request is accepted, and a good wish.", heard)
        await self._caller.hangup()
        yield await self._stored_callback()

    @property
    def _words(self) -> dict[str, str]:
        words = {
            "ru": {
                "name": "Сергеев Иван Петрович",
                "subject": "Хочу узнать, когда привезут мой заказ",
                "agent": "Здравствуйте, ваш заказ привезут завтра утром",
                "customer": "Спасибо, завтра утром мне удобно",
            },
            "en": {
                "name": "John Peter Smith",
                "subject": "I would like to know when my order arrives",
                "agent": "Hello, your order arrives tomorrow morning",
                "customer": "Thank you, tomorrow morning suits me well",
            },
        }
        return words.get(self._language, words["en"])

    async def _stored_callback(self) -> Step:
        callback = await self._callback_in(
            {CallbackState.QUEUED, CallbackState.CLAIMED, CallbackState.DIALING}
        )
        self._callback_id = callback.id
        expect(callback.number == f"+{CALLER}", f"The stored number is {callback.number}.")
        expect(callback.consent is not None, "No consent was stored.")
        spoken = {}
        for kind, said, path in (
            ("name", self._name, callback.name_recording),
            ("subject", self._subject, callback.subject_recording),
        ):
            expect(path, f"The {kind} was not recorded.")
            recorded, _ = load_wav(Path(str(path)).with_suffix(".wav"))
            wanted, _ = load_wav(said)
            match = correlate(recorded, wanted)
            expect(match.whole, f"The recorded {kind} is not what was said (score {match.score_min:.2f}).")
            spoken[kind] = round(match.score_min, 3)
        return Step(
            "callback_stored",
            f"Callback {callback.id}: number, consent, name and subject are kept and can be played.",
            {
                "callback": callback.id,
                "number": callback.number,
                "state": callback.state,
                "recordings": spoken,
            },
        )

    # Act three: the promise is kept -------------------------------------------------------------

    async def _ring_back(self) -> AsyncIterator[Step]:
        agent = await self._first_rung()
        await agent.answer()
        since = time.monotonic()
        yield Step("agent_rung", f"The dialer rings {agent.name}, who picks up.", {"agent": agent.name})
        await self._hears(agent, self._expected.phrase("briefing.choose", self._department), since, limit=60)
        await agent.send_dtmf("1")
        yield Step("briefed", "He hears who it is and why, and takes it with 1.", {})
        await self._customer.wait_for(PhoneState.INCOMING, 10)
        await self._customer.answer()
        answered = time.monotonic()
        greeting = self._expected.greeting("callback", self._department, agent.name)
        heard = await self._hears(self._customer, greeting, answered)
        yield Step(
            "customer_greeted",
            "The customer's phone rings; he hears the greeting with the agent's name.",
            heard,
        )
        yield await self._talk(agent)
        await self._customer.hangup()
        callback = await self._callback_in({CallbackState.DONE})
        expect(callback.attempts == 1, f"{callback.attempts} attempts were counted.")
        yield Step(
            "callback_done",
            "The customer hangs up first. The promise is kept: state done, one attempt.",
            {"state": callback.state, "attempts": callback.attempts},
        )

    async def _first_rung(self) -> Softphone:
        """The agent whose phone rings now; what rang earlier in the story does not count."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for phone in self._agents.values():
                if phone.state is PhoneState.INCOMING:
                    return phone
            await asyncio.sleep(0.05)
        raise StoryBroken("The dialer rang no agent within 60 s.")

    async def _talk(self, agent: Softphone) -> Step:
        since = time.monotonic()
        await asyncio.sleep(0.5)
        says = {"agent": await self._speech("agent", self._words["agent"])}
        says["customer"] = await self._speech("customer", self._words["customer"])
        await agent.speak(says["agent"])
        to_customer = await self._hears(self._customer, says["agent"], since)
        await self._customer.speak(says["customer"])
        to_agent = await self._hears(agent, says["customer"], since)
        return Step(
            "talk",
            "They hear each other, both ways.",
            {"customer_heard": to_customer, "agent_heard": to_agent},
        )

    # Act four: the record ---------------------------------------------------------------------------

    async def _record_of_first_call(self) -> Step:
        record = await self._finished_call(CALLER)
        self._call_id = record["call_id"]
        legs = {leg.get("agent") or leg.get("endpoint"): leg for leg in record["legs"]}
        missed = [leg for leg in record["legs"] if leg.get("ring_verdict") == "missed"]
        expect(missed, f"No leg of the record is marked missed: {legs}")
        expect(
            record["failover_reason"] == "ring_deadline",
            f"The failover reason is {record['failover_reason']!r}.",
        )
        expect(
            record["hung_up_by"] == "caller", f"The record says that {record['hung_up_by']!r} hung up first."
        )
        keys = ("call_id", "disposition", "ring_verdict", "failover_reason", "queue", "hung_up_by")
        return Step(
            "record",
            "The record tells it: four rings missed, the queue, who hung up first.",
            {key: record.get(key) for key in keys},
        )

    async def _note(self) -> Step:
        network = self._settings.network
        url = f"http://{network.address}:{network.desk_port}/api/v1/calls/{self._call_id}/notes"
        token = secrets.read_secret(self._settings, secrets.DESK_TOKEN)
        note = {
            "last_name": "Сергеев",
            "first_name": "Иван",
            "patronymic": "Петрович",
            "number": f"+{CALLER}",
            "subject": self._words["subject"],
            "result": self._words["agent"],
            "text": "",
        }
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"demo-{self._call_id}"}
        async with aiohttp.ClientSession(headers=headers) as http, http.post(url, json=note) as answer:
            expect(
                answer.status in {200, 201},
                f"The desk refused the note: {answer.status} {await answer.text()}",
            )
        notes = await self._store.notes(self._call_id)
        expect(notes and notes[-1].fields.get("last_name") == "Сергеев", "The note is not in the store.")
        return Step(
            "note", "The agent completes the note; it stands with the call.", {"version": notes[-1].version}
        )

    # What a person does ---------------------------------------------------------------------------

    async def _hears(self, phone: Softphone, prompt: Path, since: float, limit: float = 25) -> dict[str, Any]:
        heard = await Ear(phone).hears(prompt, since=since, timeout=limit)
        return {
            "correlation": round(heard.match.score_min, 3),
            "after_seconds": round(heard.starts - since, 2),
        }

    async def _says_after(self, phrase: str, since: float, keys: str, timeout: float = 30) -> None:  # noqa: ASYNC109
        await self._hears(self._caller, self._expected.phrase(phrase, self._department), since, timeout)
        await self._caller.send_dtmf(keys)

    async def _speaks_after(self, phrase: str, since: float, speech: Path) -> None:
        await self._hears(self._caller, self._expected.phrase(phrase, self._department), since)
        await asyncio.sleep(1.0)  # the tone
        seconds = await self._caller.speak(speech)
        await asyncio.sleep(seconds + 0.5)
        await self._caller.send_dtmf("#")

    async def _speech(self, name: str, words: str) -> Path:
        path = self._stage.phones_folder / f"says-{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(say, words, self._language, path)
        return path

    # What the store says ---------------------------------------------------------------------------

    async def _callback_in(self, states: set[CallbackState]) -> Callback:
        found: list[Callback] = []
        for _ in range(100):
            found = await self._store.callbacks(since=self._began, limit=1)
            if found and found[0].state in states:
                return found[0]
            await asyncio.sleep(0.1)
        raise StoryBroken(
            f"The callback is {found[0].state if found else 'not stored'}; {sorted(states)} was due."
        )

    async def _finished_call(self, number: str) -> dict[str, Any]:
        for _ in range(100):
            for call in await self._store.calls(since=self._began, limit=20):
                if call.caller_number.lstrip("+") == number and call.ended_at is not None:
                    return dict(call.record)
            await asyncio.sleep(0.1)
        raise StoryBroken("The finished call is not in the store.")
