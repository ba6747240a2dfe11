"""The sections ``[voices.LANGUAGE]`` and ``[languages_by]`` of the configuration."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ami_bridge.setting_types import Language, Region, Section


class Voice(Section):
    """Who speaks a language.

    Attributes:
        renderer: ``espeak`` (always there), ``piper`` (neural, an extra), ``command`` (any program).
        voice: espeak-ng: a voice's name, "" for the phrase book's; piper: the path of an ``.onnx`` file or the name
            of a Python package that carries one.
        words_per_minute: pace; 0 for the phrase book's.
        command: program and arguments; the words come by standard input, sound (WAV, 16 bit, mono) is read from
            standard output or from the file that stands for ``{file}``. ``{voice}``, ``{language}`` are filled in.
    """

    renderer: Literal["espeak", "piper", "command"] = "espeak"
    voice: str = ""
    words_per_minute: int = Field(default=0, ge=0, le=300)
    command: list[str] = Field(default=[])

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.renderer == "command") != bool(self.command):
            raise ValueError('command and renderer = "command" belong together; write both or neither')
        if 0 < self.words_per_minute < 80:
            raise ValueError("words_per_minute is from 80 to 300, or 0 for the phrase book's")
        return self


class Greeting(Section):
    """How the greeting is said.

    Attributes:
        short_within_minutes: who has heard the department's greeting to its end in an earlier call that short a time
            ago is not told everything again; 0: always the whole of it.
        when_heard: what he hears instead: the ``short`` form of the phrase book, or nothing (``skip``).
        agent_hears: while the caller is greeted, the agent hears the ``greeting`` too, or a ``tone`` when it begins
            and when it ends.
    """

    short_within_minutes: int = Field(default=0, ge=0, le=1440)
    when_heard: Literal["short", "skip"] = "short"
    agent_hears: Literal["greeting", "tone"] = "greeting"


class OwnVoices(Section):
    """People's own recordings by phone (*7, *8, *9 are taken).

    Attributes:
        code: what an agent dials to record the own name.
        greeting_code: what an agent dials to record the whole greeting, in the first language of the department.
    """

    code: str = Field(default="*61", pattern=r"^[*][1-6][0-9]{1,3}$")
    greeting_code: str = Field(default="*62", pattern=r"^[*][1-6][0-9]{1,3}$")

    @model_validator(mode="after")
    def _two_codes(self) -> Self:
        if self.code == self.greeting_code:
            raise ValueError(f"code and greeting_code are both {self.code}; change one of them")
        return self


class LanguageChoice(Section):
    """How a caller's language is chosen in departments that speak several (``more_languages``).

    The DID decides first (``departments.X.did_languages``), then the country of the caller's number, then the
    department; while waiting, ``key`` goes on to the next language.
    """

    country: dict[Region, Language] = Field(default={})
    key: str = Field(default="9", pattern="^[2-9]$")
