"""Prompts as they really come out of espeak-ng, and what happens when they do not."""

from __future__ import annotations

import wave
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from agi.voice import prompts, sound
from agi.voice.cache import VoiceCache, greeting_text
from agi.voice.occasions import parting_key
from agi.voice.phrasebook import PHRASES, call_later_phrases, load_phrase_book, parse_phrase_book
from agi.voice.prompts import FIXED_NAMES, fixed_prompt, say, wav_of
from agi.voice.render import EspeakRenderer, RenderError
from ami_bridge.errors import ConfigError
from ami_bridge.settings import Settings

MOSCOW = "+03:00"
NOON_IN_MOSCOW = datetime(2026, 3, 11, 9, 0, tzinfo=UTC)  # for which ``prepared`` is


def test_every_prompt_is_fit_for_the_telephone(prepared: VoiceCache) -> None:
    """8 kHz, mono, 16 bit; no clipping; one loudness; no silence at the ends, no consonant cut off."""
    files = [path for language in prepared.books for path in (prepared.folder / language).glob("*.wav")]
    assert len(files) == len(prepared.wanted(NOON_IN_MOSCOW))
    for path in files:
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        samples, _ = sound.read_wav(path.read_bytes())
        assert np.abs(samples).max() <= sound.PEAK + 1e-4
        assert sound.loudness_dbfs(samples) == pytest.approx(sound.LOUDNESS_DBFS, abs=0.5)
        for end in (samples, samples[::-1]):
            assert np.argmax(np.abs(end) > 0.01) < 0.12 * sound.RATE, path


def test_every_fixed_prompt_and_tone_is_in_its_place(prepared: VoiceCache) -> None:
    for department in prepared.settings.departments:
        for name in FIXED_NAMES:
            assert wav_of(fixed_prompt(prepared.settings, department, name)).stat().st_size > 4000
    assert wav_of(prompts.beep_prompt(prepared.settings)).is_file()
    music = prompts.music_folder(prepared.settings) / "waiting.wav"
    samples, _ = sound.read_wav(music.read_bytes())
    assert sound.loudness_dbfs(samples) < sound.LOUDNESS_DBFS - 6  # a voice over it is understood


def test_changed_words_change_the_fixed_prompt(tmp_path: Path, settings: Settings) -> None:
    voice = VoiceCache(
        settings.model_copy(update={"node": settings.node.model_copy(update={"state_folder": tmp_path})})
    )
    voice.prepare()
    target = wav_of(fixed_prompt(voice.settings, "sales", "busy"))
    stale = target.read_bytes()[:-100]
    target.unlink()
    target.write_bytes(stale)
    voice.prepare()
    assert target.read_bytes() != stale


def test_resampling_keeps_the_voice_and_takes_what_would_fold_back() -> None:
    time = np.arange(22050) / 22050
    kept = sound.resample(0.5 * np.sin(2 * np.pi * 1000 * time), 22050)
    assert len(kept) == 8000
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
    assert np.abs(kept - expected)[200:-200].max() < 0.01
    assert np.abs(sound.resample(0.5 * np.sin(2 * np.pi * 5500 * time), 22050)[200:-200]).max() < 0.005


def test_loud_sound_is_bent_not_clipped() -> None:
    burst = np.zeros(8000)
    burst[:80] = np.sin(np.arange(80)) * 1e-3
    burst[4000:4004] = 1.0
    assert np.abs(sound.normalise(burst)).max() <= sound.PEAK


def test_a_number_is_read_in_groups(prepared: VoiceCache, tmp_path: Path) -> None:
    groups = ("8", "916", "123", "45", "67")
    path = prepared.speak_number(groups, prepared.books["ru"], tmp_path / "number")
    samples, rate = sound.read_wav(wav_of(path).read_bytes())
    quiet = np.abs(samples) < 1e-3
    pauses = [len(run) / rate for run in "".join("q" if each else "s" for each in quiet).split("s") if run]
    assert sum(pause > 0.4 for pause in pauses) == len(groups)


def test_a_cold_prompt_is_rendered_behind_the_callers_back(tmp_path: Path, settings: Settings) -> None:
    state = settings.node.model_copy(update={"state_folder": tmp_path})
    voice = VoiceCache(settings.model_copy(update={"node": state}))
    book = voice.books["ru"]
    assert voice.find("Добрый день!", book) is None
    voice._background.shutdown(wait=True)  # what was begun is finished
    path = voice.find("Добрый день!", book)
    assert path is not None
    assert not path.suffix
    assert sorted(path.parent.iterdir()) == [wav_of(path)]  # nothing half-written beside it


@pytest.mark.parametrize(
    ("program", "word"),
    [("no-such-voice", "missing"), ("false", "refused"), ("true", "not answer with sound")],
)
def test_a_broken_voice_says_what_to_do_and_leaves_the_caller_alone(
    tmp_path: Path, settings: Settings, caplog: pytest.LogCaptureFixture, program: str, word: str
) -> None:
    state = settings.node.model_copy(update={"state_folder": tmp_path})
    voice = VoiceCache(settings.model_copy(update={"node": state}), EspeakRenderer(program))
    assert voice.prepare() == len(voice.wanted(datetime.now(UTC)))
    assert word in caplog.text
    assert voice.find("Добрый день!", voice.books["ru"]) is None
    voice.close()


def test_a_disk_that_refuses_is_one_sentence(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "prompts").write_text("a file where the folder should be")
    state = settings.node.model_copy(update={"state_folder": tmp_path})
    voice = VoiceCache(settings.model_copy(update={"node": state}))
    with pytest.raises(RenderError, match="Cannot write the prompt"):
        voice.render("Добрый день!", voice.books["ru"])
    voice.close()


@pytest.mark.parametrize("folder", ["a&b", "a,b", "${SHELL(id)}", 'a"b', "a;b"])
def test_a_state_folder_that_asterisk_would_misread_is_refused(settings: Settings, folder: str) -> None:
    state = settings.node.model_copy(update={"state_folder": Path("/tmp") / folder})
    with pytest.raises(ConfigError, match=r"node\.state_folder"):
        VoiceCache(settings.model_copy(update={"node": state}))


@pytest.mark.parametrize(
    ("hour", "minute", "ru", "en"),
    [
        (5, 59, "Доброй ночи", "Good evening"),
        (6, 0, "Доброе утро", "Good morning"),
        (11, 59, "Доброе утро", "Good morning"),
        (12, 0, "Добрый день", "Good afternoon"),
        (17, 59, "Добрый день", "Good afternoon"),
        (18, 0, "Добрый вечер", "Good evening"),
        (22, 59, "Добрый вечер", "Good evening"),
        (23, 0, "Доброй ночи", "Good evening"),
    ],
)
def test_the_salutation_follows_the_departments_own_clock(
    settings: Settings, hour: int, minute: int, ru: str, en: str
) -> None:
    at = datetime.fromisoformat(f"2026-03-11T{hour:02}:{minute:02}:00{MOSCOW}")
    assert greeting_text(settings, "direct", "sales", "101", at).startswith(f"{ru}! Компания «Ромашка»")
    assert greeting_text(settings, "direct", "support", "103", at).startswith(f"{en}! Romashka")


@pytest.mark.parametrize("kind", ["direct", "queue-answer", "callback"])
def test_who_answers_is_named_and_asks_the_open_question(settings: Settings, kind: str) -> None:
    at = datetime.fromisoformat(f"2026-03-11T12:00:00{MOSCOW}")
    named = greeting_text(settings, kind, "sales", "101", at)
    assert "старший менеджер Анна Смирнова" in named
    assert "отдел продаж" in named
    assert named.endswith("помочь?")
    nameless = greeting_text(settings, kind, "sales", "999", at)
    assert "Анна" not in nameless
    assert nameless.endswith("помочь?")
    assert greeting_text(settings, kind, "support", "103", at).endswith("How may I help you?")


@pytest.mark.parametrize(
    ("at", "key"),
    [
        ("2026-03-13T11:59", "morning"),  # Friday
        ("2026-03-13T12:00", "weekend"),
        ("2026-03-13T22:00", "weekend"),
        ("2026-03-14T10:00", "weekend"),
        ("2026-03-14T18:00", "evening"),
        ("2026-03-15T10:00", "morning"),  # Sunday: the weekend is nearly over
        ("2026-03-11T23:30", "night"),
    ],
)
def test_the_parting_suits_the_day(settings: Settings, at: str, key: str) -> None:
    book = load_phrase_book("ru")
    assert parting_key(book, settings, datetime.fromisoformat(at)) == f"partings.{key}"


@pytest.mark.parametrize("language", ["ru", "en"])
def test_the_books_are_whole_and_never_send_a_caller_away(language: str) -> None:
    book = load_phrase_book(language)
    assert set(PHRASES) <= set(book.phrases)
    assert not any(call_later_phrases(text) for text in book.phrases.values())
    assert not any(
        word in book.phrases["fixed.greeting"].lower() for word in ("алло", "слушаю", "hello", "listening")
    )


@pytest.mark.parametrize(
    "text",
    [
        "Перезвоните позже.",
        "Пожалуйста, позвоните завтра",
        "Попробуйте позднее",
        "Please call back later",
        "Try again later",
        "Call us again",
    ],
)
def test_call_later_is_found(text: str) -> None:
    assert call_later_phrases(text)


@pytest.mark.parametrize(
    "text", ["Мы вам перезвоним.", "Вы просили вам перезвонить.", "We will ring you back."]
)
def test_our_own_promise_is_no_call_later(text: str) -> None:
    assert not call_later_phrases(text)


def test_every_fault_of_a_book_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_phrase_book(
            {
                "voice": {"name": "-w/etc/passwd", "words_per_minute": 1},
                "greetings": {"direct": "{salutation} {secret}", "closed": "Перезвоните позже", "oops": "x"},
                "capture": {"name": "{", "subject": 7},
            },
            "ru",
            "ru.toml",
        )
    said = "\n".join(caught.value.problems)
    for fault in (
        "voice.name",
        "words_per_minute",
        "{secret}",
        "S8",
        "greetings.oops",
        "stray brace",
        "capture.subject",
    ):
        assert fault in said
    assert "digits.0 is missing" in said


def test_an_unknown_language_names_the_file_to_write() -> None:
    with pytest.raises(ConfigError, match=r"xx\.toml"):
        load_phrase_book("xx")


def test_say_writes_any_text(tmp_path: Path) -> None:
    say("-w /etc/passwd Проверка & $(id)", "ru", tmp_path / "a" / "b.wav")
    samples, rate = sound.read_wav((tmp_path / "a" / "b.wav").read_bytes())
    assert rate == 8000
    assert len(samples) > 4000
