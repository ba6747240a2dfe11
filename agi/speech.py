"""From the parts of a turn to the files that the dialplan plays."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from agi.request import StepRefused, StepRequest
from agi.turns import Kind, Number, Part, Phrase, Turn
from agi.variables import Variable
from agi.voice import compose, prompts, sound
from agi.voice.cache import SAFE_PATH, VoiceCache
from agi.voice.phrasebook import PhraseBook
from agi.voice.render import RenderError
from ami_bridge.settings import Settings

_log = logging.getLogger(__name__)

# A recording holds a voice when it is louder than a quiet line for so long altogether.
_VOICED_SECONDS = 0.15
_VOICED_DBFS = -42.0


@dataclass(frozen=True, slots=True)
class Speech:
    """The voice of one department on one call. ``local_time`` is the department's wall clock."""

    settings: Settings
    voice: VoiceCache
    department: str
    local_time: datetime
    callback_id: str = ""
    stored: Mapping[Kind, Path] = field(default_factory=dict)
    """Recordings that lie elsewhere (a message taken without the AGI), without extension."""
    language: str = ""
    """The language in which this caller is served; "": the department's first."""
    caller: str = ""
    """The caller's number: where it tells the time zone, the farewell suits the clock there."""

    @classmethod
    def of(cls, request: StepRequest, department: str, *, callback_id: str = "", caller: str = "") -> Speech:
        """What ``department`` says at the instant and in the language of ``request``."""
        return cls(
            request.settings,
            request.voice,
            department,
            request.now.astimezone(request.settings.zone_info_of(department)),
            callback_id,
            language=request.environment.language,
            caller=caller,
        )

    @property
    def book(self) -> PhraseBook:
        """The department's phrase book in the caller's language."""
        return self.voice.book_of(self.department, self.language)

    def text(self, phrase: str) -> str:
        """The words of the phrase ``phrase`` here and now."""
        parting = compose.farewell_words(
            self.book, self.settings, self.department, self.local_time, self.caller
        )
        return self.book.say(
            phrase, parting=parting, **compose.place_words(self.book, self.settings, self.department)
        )

    def files(self, parts: Sequence[Part]) -> str:
        """The files of ``parts``, joined with ``&`` as Playback() and Read() want them.

        Raises:
            StepRefused: one of them does not exist yet; the dialplan's own prompts serve the caller.
        """
        return "&".join(str(self._file(part)) for part in parts)

    def recording(self, kind: Kind) -> Path:
        """Where the callback's recording ``kind`` lies, without extension."""
        return self.stored.get(kind) or recording_path(self.settings, self.callback_id, kind)

    def _file(self, part: Part) -> Path:
        if isinstance(part, Phrase):
            path = self.voice.find(self.text(part.key), self.book)
            if path is None:
                raise StepRefused(f"the prompt {part.key} is not rendered yet")
            return path
        if isinstance(part, Number):
            return self._number(part)
        return self.recording(part.kind)

    def _number(self, number: Number) -> Path:
        target = prompts.recordings_folder(self.settings) / self.callback_id / "number"
        try:
            return self.voice.speak_number(number.groups, self.book, target)
        except RenderError as error:
            raise StepRefused(str(error)) from None


def recording_path(settings: Settings, callback_id: str, kind: Kind) -> Path:
    """Where the recording ``kind`` of a callback lies, without extension."""
    return prompts.recordings_folder(settings) / callback_id / kind


def playable(settings: Settings, stored: str | None) -> Path | None:
    """The recording that the store names, without extension; None when it is not there, or not ours to play."""
    if stored is None:
        return None
    path = Path(stored)
    inside = path.is_relative_to(settings.state_folder) and ".." not in path.parts
    if not inside or path.suffix != ".wav" or not SAFE_PATH.fullmatch(stored) or not path.is_file():
        return None
    return path.with_suffix("")


def voiced_seconds(path: Path) -> float | None:
    """How long somebody speaks in the recording ``path`` (without extension); None when it cannot be read."""
    try:
        samples, _ = sound.read_wav(path.with_name(f"{path.name}.wav").read_bytes())
    except (OSError, ValueError):
        return None
    return sound.voiced_frames(samples, _VOICED_DBFS) / 100


def has_voice(path: Path) -> bool | None:
    """Whether somebody speaks in the recording ``path`` (without extension); None when it cannot be read."""
    seconds = voiced_seconds(path)
    return None if seconds is None else seconds >= _VOICED_SECONDS


def trimmed(path: Path) -> bool | None:
    """:func:`has_voice`; when it has one, the recording loses the silence at both its ends."""
    voice = has_voice(path)
    if voice:
        file = path.with_name(f"{path.name}.wav")
        try:
            samples, _ = sound.read_wav(file.read_bytes())
            sound.write_atomically(file, sound.wav_bytes(sound.trim(samples)))
        except OSError as error:  # the recording stays as it is
            _log.warning("The silence of %s was not trimmed: %s", file, error)
    return voice


def turn_variables(turn: Turn, speech: Speech, max_recording_seconds: int) -> dict[Variable, str]:
    """The channel variables that tell the dialplan to perform ``turn``.

    Raises:
        StepRefused: see :meth:`Speech.files`.
    """
    variables = {Variable.DO: str(turn.do), Variable.FILES: speech.files(turn.says)}
    if turn.digits:
        variables |= {Variable.DIGITS: str(turn.digits), Variable.WAIT: str(turn.wait_seconds)}
    if turn.records:
        path = speech.recording(turn.records)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o770)
        variables |= {Variable.RECORDING: str(path), Variable.MAX_SECONDS: str(max_recording_seconds)}
    if turn.number:
        variables[Variable.NUMBER] = turn.number
    return variables
