"""Own name, or own greeting: an agent records it by phone: speak, listen, accept or record again.

The next caller hears it. A whole greeting is one of the first language of the agent's first department.
"""

from __future__ import annotations

import asyncio

from agi.request import StepRefused, StepRequest, Variables
from agi.speech import Speech, has_voice, recording_path, turn_variables
from agi.turns import EMPTY_RECORDINGS, KEY_SECONDS, MISSES, Answer, Do, Kind, Phrase, Recording, Turn
from agi.voice import own_voice
from agi.voice.prompts import wav_of
from ami_bridge.directory import departments_of

NAME, GREETING = "own_name", "own_greeting"
CONVERSATIONS = frozenset({NAME, GREETING})

_RECORD = Turn(Do.RECORD, (Phrase("own_name.ask"),), records=Kind.NAME)
_RECORD_GREETING = Turn(Do.RECORD, (Phrase("own_name.ask_greeting"),), records=Kind.NAME)
_CHOOSE = Turn(
    Do.KEY,
    (Phrase("own_name.sounds"), Recording(Kind.NAME), Phrase("own_name.choose")),
    digits=1,
    wait_seconds=KEY_SECONDS,
)
_ACCEPTED = Turn(Do.END, (Phrase("own_name.accepted"),))
_LEFT = Turn(Do.END, (Phrase("own_name.left"),))


def plan(stage: str, misses: int, answer: Answer, record: Turn = _RECORD) -> tuple[str, int, Turn]:
    """(stage, misses) and what came of it → the next stage, misses and turn. Stages: "", record, choose, done.

    ``record`` asks for what is to be recorded.
    """
    if stage == "record":
        if answer.heard:
            return "choose", 0, _CHOOSE
        return ("done", 0, _LEFT) if misses + 1 > EMPTY_RECORDINGS else ("record", misses + 1, record)
    if stage == "choose":
        if answer.text == "1":
            return "done", 0, _ACCEPTED
        if answer.text == "2":
            return "record", 0, record
        # 3, or any other key, or silence: listen once more.
        return ("done", 0, _LEFT) if misses + 1 >= MISSES else ("choose", misses + 1, _CHOOSE)
    return ("done", 0, _LEFT) if stage == "done" else ("record", 0, record)


async def run(request: StepRequest, agent: str, result: str, conversation: str = NAME) -> Variables:
    """One turn.

    Raises:
        StepRefused: there is no such agent.
        RenderError: the disk refuses the accepted recording.
    """
    departments = departments_of(request.settings, agent)
    if not departments:
        raise StepRefused("there is no such agent")
    stored = await request.store.get_conversation(request.environment.uniqueid)
    state = stored.state if stored and stored.state.get("conversation") == conversation else {}
    stage, misses = str(state.get("stage", "")), int(state.get("misses", 0))
    department = departments[0]
    language = request.settings.language_of(department) if conversation == GREETING else ""
    folder = f"own-{agent}-{language}" if language else f"own-{agent}"
    spoken = recording_path(request.settings, folder, Kind.NAME)
    heard = await asyncio.to_thread(has_voice, spoken) if stage == "record" else None
    asked = _RECORD_GREETING if language else _RECORD
    stage, misses, turn = plan(stage, misses, Answer(result, heard), asked)
    if turn is _ACCEPTED:
        content = await asyncio.to_thread(wav_of(spoken).read_bytes)
        await asyncio.to_thread(own_voice.keep, request.settings, agent, content, greeting=language)
    local_time = request.now.astimezone(request.settings.zone_info_of(department))
    speech = Speech(request.settings, request.voice, department, local_time, folder)
    variables = turn_variables(turn, speech, request.settings.callback.max_recording_seconds)
    await request.store.put_conversation(
        request.environment.uniqueid,
        {"conversation": conversation, "stage": stage, "misses": misses},
        at=request.now,
    )
    return variables
