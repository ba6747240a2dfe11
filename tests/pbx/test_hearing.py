"""What counts as heard: proved on made-up sound, without any PBX."""

from __future__ import annotations

import itertools
import wave
from pathlib import Path

import numpy as np
import pytest

from ami_bridge.demo.hearing import (
    RATE,
    Samples,
    contains,
    correlate,
    find_all,
    load_wav,
    ring_tones,
    silence_gaps,
)


def speech(seconds: float, seed: int) -> Samples:
    """Sound shaped like speech: noise in bands that change every 80 ms, with pauses in between."""
    chance = np.random.default_rng(seed)
    parts: list[np.ndarray] = []
    while sum(len(part) for part in parts) < seconds * RATE:
        pitch = chance.uniform(90, 250)
        clock = np.arange(int(0.08 * RATE)) / RATE
        tone = sum(chance.uniform(0.1, 1) * np.sin(2 * np.pi * pitch * k * clock) for k in range(1, 9))
        parts.append(0.05 * tone + 0.01 * chance.standard_normal(len(clock)))
        if chance.uniform() < 0.15:
            parts.append(np.zeros(int(0.1 * RATE)))
    return np.concatenate(parts)[: int(seconds * RATE)].astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE), dtype=np.float32)


def alaw(samples: Samples) -> Samples:
    """Through an A-law trunk and back (ITU-T G.711), by nearest level of the decoder."""
    from ami_bridge.demo.hearing import _g711_table

    levels = np.sort(_g711_table("alaw"))
    places = np.searchsorted((levels[1:] + levels[:-1]) / 2, samples)
    return levels[places]


def ulaw(samples: Samples) -> Samples:
    from ami_bridge.demo.hearing import _g711_table

    levels = np.sort(_g711_table("ulaw"))
    return levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, samples)]


def tone(seconds: float, *frequencies: float, level: float = 0.1) -> Samples:
    clock = np.arange(int(seconds * RATE)) / RATE
    return (level * sum(np.sin(2 * np.pi * f * clock) for f in frequencies)).astype(np.float32)


@pytest.mark.parametrize("coding", [alaw, ulaw])
def test_a_prompt_heard_through_a_telephone_is_whole_and_in_its_place(coding) -> None:
    prompt = speech(3, seed=1)
    heard = coding(np.concatenate((speech(2, seed=2), prompt, speech(2, seed=3))))
    match = correlate(heard, prompt)
    assert match.whole
    assert match.score_min > 0.95
    assert match.start_seconds == pytest.approx(2.0, abs=0.001)


@pytest.mark.parametrize("gain", [0.5, 0.8, 1.3])
def test_a_change_of_level_does_not_matter(gain: float) -> None:
    prompt = speech(3, seed=1)
    assert contains(alaw(prompt * np.float32(gain)), prompt)


def test_other_speech_is_not_the_prompt() -> None:
    match = correlate(alaw(speech(20, seed=5)), speech(3, seed=1))
    assert not match.whole
    assert match.score_mean < 0.6


def test_silence_and_idle_noise_are_not_the_prompt() -> None:
    noise = (np.random.default_rng(1).standard_normal(8 * RATE) * 0.0002).astype(np.float32)
    assert correlate(noise, speech(3, seed=1)).score_mean < 0.1
    assert not contains(silence(8), speech(3, seed=1))
    assert not contains(np.zeros(0, dtype=np.float32), speech(3, seed=1))
    faint = speech(3, seed=1) * np.float32(0.001)  # nobody could hear it
    assert not contains(faint, speech(3, seed=1))


@pytest.mark.parametrize(("first", "last"), [(0.0, 2.3), (0.7, 3.0)])
def test_a_prompt_cut_at_either_end_is_not_whole(first: float, last: float) -> None:
    prompt = speech(3, seed=1)
    part = prompt[int(first * RATE) : int(last * RATE)]
    match = correlate(np.concatenate((silence(1), part, silence(1))), prompt)
    assert not match.whole
    assert 2 <= match.missing < match.slices
    assert match.start_seconds == pytest.approx(1.0 - first, abs=0.01)


def test_a_prompt_that_began_before_the_recording_starts_at_a_negative_time() -> None:
    prompt = speech(3, seed=1)
    match = correlate(prompt[RATE:], prompt)
    assert match.start_seconds == pytest.approx(-1.0, abs=0.01)
    assert not match.whole


def test_slices_in_another_order_are_not_the_prompt() -> None:
    prompt = speech(3, seed=1)
    turned = np.concatenate((prompt[2 * RATE :], prompt[RATE : 2 * RATE], prompt[:RATE]))
    assert not contains(turned, prompt)


def test_a_recording_that_ends_some_samples_early_still_holds_the_whole_prompt() -> None:
    """Asterisk's format_wav drops the last 22 samples of a file (the length of its header)."""
    prompt = speech(3, seed=1)
    assert contains(np.concatenate((silence(1), prompt[:-22])), prompt)
    assert not contains(np.concatenate((silence(1), prompt[:-800])), prompt)


def test_one_lost_packet_spoils_only_the_slice_that_it_was_in() -> None:
    prompt = speech(3, seed=1)
    hole = int(1.25 * RATE)
    match = correlate(np.concatenate((prompt[:hole], prompt[hole + 160 :])), prompt)
    assert match.missing <= 1
    assert match.score_mean > 0.9


def test_small_delays_that_add_up_are_followed() -> None:
    """Four times 30 ms between slices: each slice is near where the one before it says, none where it began."""
    prompt = speech(3, seed=1)
    places = [0, 4800, 9600, 14400, 19200, 24000]
    pieces = [np.concatenate((prompt[a:b], silence(0.03))) for a, b in itertools.pairwise(places)]
    assert contains(np.concatenate((silence(1), *pieces, silence(1))), prompt)


def test_every_repetition_is_found_once_and_in_order() -> None:
    prompt = speech(2, seed=1)
    heard = alaw(np.concatenate((silence(1), prompt, speech(3, seed=9), prompt, silence(0.5), prompt)))
    assert [round(match.start_seconds, 2) for match in find_all(heard, prompt)] == [1.0, 6.0, 8.5]


def test_a_silent_prompt_proves_nothing_and_is_refused() -> None:
    with pytest.raises(ValueError, match="silent"):
        correlate(speech(3, seed=1), silence(3))


@pytest.mark.parametrize(
    ("zone", "frequencies", "bursts"),
    [
        ("ru", (425,), [(0, 1), (5, 6), (10, 11)]),
        ("us", (440, 480), [(0, 2), (6, 8)]),
        ("jp", (400, 15), [(0, 1), (3, 4)]),
        ("au", (413, 438), [(0, 0.4), (0.6, 1.0)]),
        ("uk", (400, 450), [(0, 0.4), (0.6, 1.0), (3.0, 3.4), (3.6, 4.0)]),
    ],
)
def test_ring_tones_are_found_with_their_ends(zone, frequencies, bursts) -> None:
    heard = silence(bursts[-1][1] + 2)
    for start, end in bursts:
        burst = tone(end - start, *frequencies)
        place = int((start + 0.5) * RATE)
        heard[place : place + len(burst)] = burst
    found = ring_tones(alaw(heard), zone)
    assert [(t.start, t.end) for t in found] == [
        (pytest.approx(s + 0.5, abs=0.008), pytest.approx(e + 0.5, abs=0.008)) for s, e in bursts
    ]


def test_a_ring_tone_cut_short_by_the_greeting_ends_where_the_greeting_begins() -> None:
    heard = alaw(np.concatenate((tone(0.6, 425), speech(3, seed=1))))
    found = ring_tones(heard, "ru")
    assert len(found) == 1
    assert found[0].end == pytest.approx(0.6, abs=0.02)


def test_speech_and_the_tones_of_other_countries_are_no_ring_tone() -> None:
    assert ring_tones(alaw(speech(20, seed=4)), "ru") == []
    assert ring_tones(alaw(tone(2, 440, 480)), "ru") == []
    assert ring_tones(alaw(tone(2, 425)), "us") == []
    assert ring_tones(alaw(tone(2, 425)), "uk") == []


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(ValueError, match="'atlantis'"):
        ring_tones(silence(1), "atlantis")


def test_gaps_of_silence_are_found() -> None:
    heard = np.concatenate((tone(1, 300), silence(0.5), tone(1, 300), silence(0.05), tone(1, 300)))
    gaps = silence_gaps(heard)
    assert [(g.start, g.end) for g in gaps] == [(pytest.approx(1.0, abs=0.02), pytest.approx(1.5, abs=0.02))]


def test_a_wav_file_is_read_even_while_it_is_still_being_written(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    samples = (speech(1, seed=1) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    whole, rate = load_wav(path)
    assert (len(whole), rate) == (RATE, RATE)
    content = bytearray(path.read_bytes())
    for length in (0, 0x7FFFFFFF):  # the true length is written when the file is closed
        content[40:44] = length.to_bytes(4, "little")
        path.write_bytes(content + b"\1")  # and half a sample may be there already
        assert np.array_equal(load_wav(path)[0], whole)


def test_an_a_law_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "alaw.wav"
    body = bytes([0xD5, 0x55, 0xAA, 0x2A])  # smallest and greatest of each sign (ITU-T G.711 table 1)
    head = b"WAVEfmt " + (16).to_bytes(4, "little") + bytes([6, 0, 1, 0]) + (8000).to_bytes(4, "little")
    head += (8000).to_bytes(4, "little") + bytes([1, 0, 8, 0]) + b"data" + (4).to_bytes(4, "little")
    path.write_bytes(b"RIFF" + (40).to_bytes(4, "little") + head + body)
    assert [round(float(s) * 32768) for s in load_wav(path)[0]] == [8, -8, 32256, -32256]


def test_what_is_no_wav_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "note.wav"
    path.write_text("not a sound")
    with pytest.raises(ValueError, match="not a WAV file"):
        load_wav(path)


def test_a_prompt_is_found_in_a_minute_of_sound() -> None:
    prompt = speech(10, seed=1)
    heard = alaw(np.concatenate((speech(45, seed=2), prompt, speech(5, seed=3))))
    assert correlate(heard, prompt).start_seconds == pytest.approx(45.0, abs=0.01)
