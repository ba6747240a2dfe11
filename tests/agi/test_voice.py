"""Prompts as they really come out of espeak-ng, and what happens when they do not."""

from __future__ import annotations

import os
import shutil
import time
import wave
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from agi.voice import compose, prompts, sound, upkeep
from agi.voice.cache import VoiceCache, greeting_text
from agi.voice.loudness import loudness_lufs
from agi.voice.occasions import parting_key
from agi.voice.phrasebook import PHRASES, call_later_phrases, load_phrase_book, parse_phrase_book
from agi.voice.prompts import FIXED_NAMES, fixed_prompt, say, wav_of, wide_of
from agi.voice.render import EspeakRenderer, RenderError
from agi.voice.script import pause_after
from agi.voice.speakers import CommandRenderer, PiperRenderer
from agi.voice.upkeep import KEPT_DAYS, read_trouble
from ami_bridge.errors import ConfigError
from ami_bridge.settings import Settings, parse_settings
from ami_bridge.voice_settings import Voice

MOSCOW = "+03:00"
NOON_IN_MOSCOW = datetime(2026, 3, 11, 9, 0, tzinfo=UTC)  # for which ``prepared`` is


def test_every_prompt_is_fit_for_the_telephone(prepared: VoiceCache) -> None:
    """8 and 16 kHz, mono, 16 bit; no clipping; one loudness to 1 LU; no silence and no click at the ends."""
    prompts_of = [
        prepared.path_of(text, prepared.books[language]) for language, text in prepared.wanted(NOON_IN_MOSCOW)
    ]
    on_disk = [path for language in prepared.books for path in (prepared.folder / language).glob("*.wav")]
    assert len(on_disk) == len(prompts_of)
    for path, (file_of, wanted) in product(prompts_of, ((wav_of, 8000), (wide_of, 16000))):
        with wave.open(str(file_of(path))) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (wanted, 1, 2)
        samples, rate = sound.read_wav(file_of(path).read_bytes())
        assert np.abs(samples).max() <= sound.PEAK + 1e-4
        assert loudness_lufs(samples, rate) == pytest.approx(sound.LOUDNESS_LUFS, abs=1.0), path
        for end in (samples, samples[::-1]):
            assert np.argmax(np.abs(end) > 0.01) < 0.12 * rate, path
            assert abs(end[0]) < 0.001


def test_a_greeting_of_pieces_is_one_prompt(prepared: VoiceCache) -> None:
    """As loud as its pieces, pauses of its punctuation at the joins, and no step in the sound there."""
    book = prepared.book_of("support")
    kind = compose.GreetingKind.DIRECT
    script = compose.greeting_at(book, prepared.settings, kind, "support", agent="103", at=NOON_IN_MOSCOW)
    path = prepared.find_script(script, book)
    assert path is not None
    pieces = [prepared.path_of(piece.text, book) for piece in script]
    for file_of in (wav_of, wide_of):
        samples, rate = sound.read_wav(file_of(path).read_bytes())
        assert loudness_lufs(samples, rate) == pytest.approx(sound.LOUDNESS_LUFS, abs=1.0)
        place = 0
        for piece, words in zip(pieces, script, strict=True):
            said, _ = sound.read_wav(file_of(piece).read_bytes())
            assert np.allclose(samples[place : place + len(said)], said, atol=1e-4)
            pause = int(pause_after(words.text) * rate) if piece is not pieces[-1] else 0
            assert not samples[place + len(said) : place + len(said) + pause].any()
            place += len(said) + pause
        assert place == len(samples)
    assert [pause_after(piece.text) for piece in script] == [0.14, 0.34, 0.34]


def test_wide_band_keeps_what_narrow_band_cannot(prepared: VoiceCache) -> None:
    path = prepared.path_of(prepared.books["en"].say("digits.6"), prepared.books["en"])  # two sharp s
    samples, rate = sound.read_wav(wide_of(path).read_bytes())
    power = np.abs(np.fft.rfft(samples)) ** 2
    high = power[int(4000 / rate * len(samples)) :].sum() / power.sum()
    assert high > 0.01


@pytest.mark.parametrize(("rate", "tolerance"), [(48000, 0.02), (16000, 0.1), (8000, 0.1)])
def test_loudness_is_that_of_the_standard(rate: int, tolerance: float) -> None:
    """ITU-R BS.1770-4: a sine of 997 Hz at full scale in one channel is -3.01 LUFS; pauses do not count."""
    tone = np.sin(2 * np.pi * 997 * np.arange(3 * rate) / rate)
    assert loudness_lufs(tone, rate) == pytest.approx(-3.01, abs=tolerance)
    assert loudness_lufs(0.1 * tone, rate) == pytest.approx(-23.01, abs=tolerance)
    paused = np.concatenate([tone, np.zeros(3 * rate), tone])
    assert loudness_lufs(paused, rate) == pytest.approx(-3.01, abs=0.3)
    assert loudness_lufs(np.zeros(rate), rate) == float("-inf")


def test_every_fixed_prompt_and_tone_is_in_its_place(prepared: VoiceCache) -> None:
    for department in prepared.settings.departments:
        for name in FIXED_NAMES:
            assert wav_of(fixed_prompt(prepared.settings, department, name)).stat().st_size > 4000
    assert wav_of(prompts.beep_prompt(prepared.settings)).is_file()
    music = prompts.music_folder(prepared.settings) / "waiting.wav"
    samples, _ = sound.read_wav(music.read_bytes())
    assert loudness_lufs(samples, sound.RATE) < sound.LOUDNESS_LUFS - 6  # a voice over it is understood


def settled(tmp_path: Path, prepared: VoiceCache) -> Settings:
    """The same company in a folder of its own, its prompts rendered already."""
    for language in prepared.books:
        shutil.copytree(prepared.folder / language, tmp_path / "prompts" / language, dirs_exist_ok=True)
    node = prepared.settings.node.model_copy(update={"state_folder": tmp_path})
    return prepared.settings.model_copy(update={"node": node})


def test_changed_words_change_the_fixed_prompt(tmp_path: Path, prepared: VoiceCache) -> None:
    voice = VoiceCache(settled(tmp_path, prepared))
    voice.prepare(at=NOON_IN_MOSCOW)
    target = wav_of(fixed_prompt(voice.settings, "sales", "busy"))
    stale = target.read_bytes()[:-100]
    target.unlink()
    target.write_bytes(stale)
    voice.prepare(at=NOON_IN_MOSCOW)
    assert target.read_bytes() != stale


def test_resampling_keeps_the_voice_and_takes_what_would_fold_back() -> None:
    second = np.arange(22050) / 22050
    kept = sound.resample(0.5 * np.sin(2 * np.pi * 1000 * second), 22050)
    assert len(kept) == 8000
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
    assert np.abs(kept - expected)[200:-200].max() < 0.01
    assert np.abs(sound.resample(0.5 * np.sin(2 * np.pi * 5500 * second), 22050)[200:-200]).max() < 0.005


def test_loud_sound_is_bent_not_clipped() -> None:
    burst = np.zeros(8000)
    burst[:80] = np.sin(np.arange(80)) * 1e-3
    burst[4000:4004] = 1.0
    assert np.abs(sound.level(burst)).max() <= sound.PEAK


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
    assert sorted(path.parent.iterdir()) == [wav_of(path), wide_of(path)]  # nothing half-written beside it


@pytest.mark.parametrize(
    ("program", "word"),
    [("no-such-voice", "missing"), ("false", "refused"), ("true", "not answer with sound")],
)
def test_a_broken_voice_says_what_to_do_and_leaves_the_caller_alone(
    tmp_path: Path, prepared: VoiceCache, caplog: pytest.LogCaptureFixture, program: str, word: str
) -> None:
    settings = prepared.settings
    state = settings.node.model_copy(update={"state_folder": tmp_path})
    broken = EspeakRenderer(load_phrase_book("ru"), program=program)
    voice = VoiceCache(settings.model_copy(update={"node": state}), broken)
    assert voice.prepare(at=NOON_IN_MOSCOW) == len(voice.wanted(NOON_IN_MOSCOW))
    assert word in caplog.text
    assert voice.find("Добрый день!", voice.books["ru"]) is None
    # The generic greeting is there all the same, spoken by espeak-ng; and the admin is told why.
    for department in settings.departments:
        assert wav_of(fixed_prompt(voice.settings, department, "greeting")).stat().st_size > 4000
    assert word in read_trouble(voice.settings)
    assert wav_of(prompts.beep_prompt(voice.settings)).is_file()
    voice.close()
    mended = VoiceCache(settled(tmp_path, prepared))
    assert mended.prepare(at=NOON_IN_MOSCOW) == 0
    assert not read_trouble(voice.settings)
    mended.close()


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


def test_what_nobody_needs_any_more_is_swept(tmp_path: Path, settings: Settings) -> None:
    """Old prompts go, needed ones and used ones stay, half-written ones go after a day."""
    state = settings.node.model_copy(update={"state_folder": tmp_path})
    voice = VoiceCache(settings.model_copy(update={"node": state}))
    book = voice.books["ru"]
    needed, stale, used = (voice.render(text, book) for text in (book.say("digits.1"), "Старое.", "Нужное."))
    torn = needed.with_name(".torn.wav.1.ab")
    torn.write_bytes(b"RIFF")
    long_ago = time.time() - (KEPT_DAYS + 1) * 86400
    for path in (needed, stale, used):
        for file in (wav_of(path), wide_of(path)):
            os.utime(file, (long_ago, long_ago))
    os.utime(torn, (long_ago, long_ago))
    assert voice.find("Нужное.", book) == used  # a caller hears it now
    assert upkeep.sweep(voice.settings, voice.books, {needed}) == 3
    assert sorted(needed.parent.iterdir()) == sorted(
        file_of(path) for path in (needed, used) for file_of in (wav_of, wide_of)
    )
    voice.close()


def test_any_program_may_speak(tmp_path: Path, settings: Settings) -> None:
    """Words by standard input, sound by standard output or by a file; nothing passes through a shell."""
    book = load_phrase_book("en")
    plain = ["espeak-ng", "-v", "{voice}", "--stdin"]
    by_output, by_file = (
        CommandRenderer(book, Voice(renderer="command", voice="en-gb", command=[*plain, *out]))
        for out in (["--stdout"], ["-w", "{file}"])
    )
    words = "Good morning; $(touch x) & `id`"
    (first, rate), (second, _) = by_output.speak(words), by_file.speak(words)
    assert rate == 22050
    assert len(first) == len(second) > rate
    assert by_output.recipe != by_file.recipe
    silent = CommandRenderer(book, Voice(renderer="command", command=["true", "{file}"]))
    with pytest.raises(RenderError, match="wrote no"):
        silent.speak("Good morning")


@pytest.mark.parametrize(
    ("voice", "told"),
    [
        ("/nowhere/ru_RU-irina-medium.onnx", "is missing"),
        ("no_such_package", "carries a Piper voice|not installed"),
    ],
)
def test_a_missing_neural_voice_says_what_to_install(voice: str, told: str) -> None:
    renderer = PiperRenderer(load_phrase_book("ru"), Voice(renderer="piper", voice=voice))
    with pytest.raises(RenderError, match=f"{told}|not installed"):
        renderer.speak("Добрый день")
    renderer.close()


@pytest.mark.parametrize(
    "section", [{"renderer": "command"}, {"command": ["x"]}, {"renderer": "sox"}, {"words_per_minute": 20}]
)
def test_a_voice_that_cannot_be_is_refused(settings: Settings, section: dict[str, object]) -> None:
    document = settings.model_dump(mode="json", exclude_none=True)
    document["voices"] = {"ru": section}
    with pytest.raises(ConfigError, match=r"voices\.ru"):
        parse_settings(document)
