"""Proves what was heard: prompts by correlation, ring tones by their frequencies.

Everything works on mono samples as float32 between -1 and 1 and is pure: no clock, no phone, no file but
``load_wav``. Levels do not matter (a prompt played a little louder is the same prompt); shape and order do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
_Floats = npt.NDArray[np.float64]

RATE = 8000
HEARD_SCORE = 0.9
# Level (RMS, full scale = 1) below which there is silence: the idle noise of A-law is about 0.0003.
SILENCE_LEVEL = 0.002
# A slice quieter than this part of the prompt's loudest slice is a pause in speech and proves nothing.
_QUIET_PART = 0.03
# A slice may lie this far from where the one before it was found: two lost or doubled packets of 20 ms.
_SLACK_SECONDS = 0.045
# All shifts together may not exceed this: beyond it, it is not the prompt as it was rendered.
_DRIFT_SECONDS = 0.2
_TONE_WINDOW_SECONDS = 0.04
_TONE_HOP_SECONDS = 0.0025
_TONE_PURITY = 0.75


@dataclass(frozen=True, slots=True)
class Match:
    """Where and how well a prompt was heard.

    Attributes:
        score_min, score_mean: over the prompt's slices with energy; 1.0 for the same sound, about 0.2 for
            another.
        start_seconds: where the prompt's first sample lies in what was heard; negative when its start was
            missed.
        whole: every slice with energy is there, in order, at its place, each with at least the wanted score.
        slices: how many slices had energy; missing: how many of them were not heard.
    """

    score_min: float
    score_mean: float
    start_seconds: float
    whole: bool
    slices: int
    missing: int


@dataclass(frozen=True, slots=True)
class Tone:
    """One burst of a tone, in seconds of the recording."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it sounded."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of silence, in seconds of the recording."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it was silent."""
        return self.end - self.start


# Ringback frequencies (Hz) of each zone of indications.conf (ITU-T E.180 supplement 2).
RING_FREQUENCIES: dict[str, tuple[float, ...]] = {
    "ru": (425.0,),
    "de": (425.0,),
    "us": (440.0, 480.0),
    "uk": (400.0, 450.0),
    "au": (413.0, 438.0),
    "jp": (400.0, 15.0),
}


def _g711_table(law: str) -> Samples:
    """Decode all 256 codes of ITU-T G.711 A-law or µ-law."""
    codes = np.arange(256)
    if law == "alaw":
        code = codes ^ 0x55
        exponent, mantissa = (code >> 4) & 7, code & 15
        magnitude = np.where(
            exponent == 0, mantissa * 16 + 8, (mantissa * 16 + 264) << np.maximum(exponent - 1, 0)
        )
        signed = np.where(code & 0x80, magnitude, -magnitude)
    else:
        code = ~codes & 0xFF
        magnitude = (((code & 15) * 8 + 132) << ((code >> 4) & 7)) - 132
        signed = np.where(code & 0x80, -magnitude, magnitude)
    return (signed / 32768.0).astype(np.float32)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a RIFF file; in one still being written the last has size 0 or more than there is."""
    place = 12
    while place + 8 <= len(content):
        name, size = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
        if name == b"data" and size == 0:
            size = len(content) - place - 8
        yield name, content[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def load_wav(path: Path) -> tuple[Samples, int]:
    """Read a WAV file (16-bit, A-law or µ-law) as mono samples and their rate in Hz.

    A file that is still being written is read up to its present end.

    Raises:
        ValueError: not a WAV file, or one of another coding.
    """
    content = path.read_bytes()
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise ValueError(f"'{path}' is not a WAV file")
    form = body = b""
    for name, chunk in _chunks(content):
        if name == b"fmt ":
            form = chunk
        elif name == b"data":
            body = chunk
    coding, channels = int.from_bytes(form[:2], "little"), int.from_bytes(form[2:4], "little")
    rate, bits = int.from_bytes(form[4:8], "little"), int.from_bytes(form[14:16], "little")
    if (coding, bits) == (1, 16):
        samples = (np.frombuffer(body[: len(body) // 2 * 2], dtype="<i2") / 32768.0).astype(np.float32)
    elif coding in (6, 7):
        samples = _g711_table("alaw" if coding == 6 else "ulaw")[np.frombuffer(body, dtype=np.uint8)]
    else:
        raise ValueError(
            f"'{path}' has WAV coding {coding} with {bits} bits; 16-bit, A-law and µ-law are understood"
        )
    if channels > 1:
        samples = samples[: len(samples) // channels * channels].reshape(-1, channels).mean(axis=1)
    return samples, rate


def correlate(
    heard: Samples,
    prompt: Samples,
    slice_seconds: float = 0.2,
    *,
    score: float = HEARD_SCORE,
    rate: int = RATE,
) -> Match:
    """Find where ``prompt`` was heard best and test each slice of it there.

    Raises:
        ValueError: the prompt is silent or shorter than one slice, so that hearing it proves nothing.
    """
    slices = _slices_with_energy(prompt, slice_seconds, rate)
    scores = _normalised(heard, prompt)
    best = int(np.argmax(scores)) - (len(prompt) - 1)
    return _judge(heard, prompt, best, slices, length=int(slice_seconds * rate), wanted=score, rate=rate)


def find_all(
    heard: Samples,
    prompt: Samples,
    slice_seconds: float = 0.2,
    *,
    score: float = HEARD_SCORE,
    rate: int = RATE,
) -> list[Match]:
    """Every place where the whole prompt was heard, in order of time; two never overlap."""
    slices = _slices_with_energy(prompt, slice_seconds, rate)
    length = int(slice_seconds * rate)
    scores = _normalised(heard, prompt)
    found: list[Match] = []
    # Each candidate hides the places around it; 0.5 leaves room for a prompt shifted by a lost packet.
    while len(scores) and float(scores.max()) > 0.5:
        peak = int(np.argmax(scores))
        place = peak - (len(prompt) - 1)
        match = _judge(heard, prompt, place, slices, length=length, wanted=score, rate=rate)
        if match.whole:
            found.append(match)
            scores[max(0, peak - len(prompt) + 1) : peak + len(prompt)] = 0.0
        else:
            scores[max(0, peak - 400) : peak + 400] = 0.0
    return sorted(found, key=lambda match: match.start_seconds)


def contains(heard: Samples, prompt: Samples, *, score: float = HEARD_SCORE, rate: int = RATE) -> bool:
    """Whether the whole prompt was heard at least once."""
    return correlate(heard, prompt, score=score, rate=rate).whole


def _slices_with_energy(prompt: Samples, slice_seconds: float, rate: int) -> list[int]:
    length = int(slice_seconds * rate)
    starts = range(0, len(prompt) - length + 1, length)
    levels = [_level(prompt[start : start + length]) for start in starts]
    loudest = max(levels, default=0.0)
    if loudest < SILENCE_LEVEL:
        raise ValueError("the prompt is silent or shorter than one slice; hearing it would prove nothing")
    wanted = max(SILENCE_LEVEL, loudest * _QUIET_PART)
    return [start for start, level in zip(starts, levels, strict=True) if level >= wanted]


def _level(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def _normalised(heard: Samples, pattern: Samples) -> _Floats:
    """Normalised cross-correlation at every lag from ``-(len(pattern) - 1)`` on (numpy's «full» order).

    Windows quieter than silence count as silence: dividing by nothing would find anything in the idle noise.
    """
    n, m = len(heard), len(pattern)
    if n == 0:
        return np.zeros(m)
    size = 1 << (n + m - 2).bit_length()
    product = np.fft.rfft(heard, size) * np.fft.rfft(pattern[::-1], size)
    raw = np.fft.irfft(product, size)[: n + m - 1]
    padded = np.concatenate((np.zeros(m), np.square(heard, dtype=np.float64), np.zeros(m - 1)))
    sums = np.cumsum(padded)
    energy = np.maximum(sums[m:] - sums[:-m], 0.0)
    floor = m * (SILENCE_LEVEL / 4) ** 2
    scale = np.sqrt(
        np.maximum(energy, floor) * max(float(np.sum(np.square(pattern, dtype=np.float64))), 1e-12)
    )
    scores: _Floats = raw / scale
    return scores


def _judge(
    heard: Samples, prompt: Samples, place: int, slices: list[int], *, length: int, wanted: float, rate: int
) -> Match:
    """Look for each slice where the one before it says that it must be."""
    slack, limit = int(_SLACK_SECONDS * rate), int(_DRIFT_SECONDS * rate)
    lag, first_lag = 0, None
    scores: list[float] = []
    for start in slices:
        score, found = _best_near(heard, prompt[start : start + length], place + start + lag, slack)
        if score >= wanted and abs(lag + found) <= limit:
            lag += found
            first_lag = lag if first_lag is None else first_lag
        scores.append(score)
    missing = sum(1 for score in scores if score < wanted)
    start_seconds = (place + (first_lag or 0)) / rate
    mean = float(np.mean(scores))
    return Match(min(scores), mean, start_seconds, missing == 0, len(scores), missing)


def _best_near(heard: Samples, piece: Samples, place: int, slack: int) -> tuple[float, int]:
    """The best score of ``piece`` within ``slack`` samples of ``place``, and how far from it that is.

    Outside what was heard there is silence: a recording may end some samples before the prompt does.
    """
    m = len(piece)
    first, last = place - slack, place + slack + m
    inside = heard[max(0, first) : max(0, last)]
    window = np.pad(inside, (max(0, -first), 0))
    window = np.pad(window, (0, max(0, 2 * slack + m - len(window))))
    scores = _normalised(window, piece)[m - 1 : len(window)]
    best = int(np.argmax(scores))
    return float(scores[best]), best - slack


def ring_tones(heard: Samples, zone: str, *, shortest_seconds: float = 0.15, rate: int = RATE) -> list[Tone]:
    """The bursts of the zone's ringback tone, with their ends to ± 20 ms.

    A busy tone of the same pitch is found too; its bursts are shorter.

    Raises:
        ValueError: the zone's frequencies are not known here.
    """
    if zone not in RING_FREQUENCIES:
        known = ", ".join(sorted(RING_FREQUENCIES))
        raise ValueError(f"the ring tone of zone '{zone}' is not known; known are {known}")
    return tones(heard, RING_FREQUENCIES[zone], shortest_seconds=shortest_seconds, rate=rate)


def tones(
    heard: Samples, frequencies: tuple[float, ...], *, shortest_seconds: float = 0.15, rate: int = RATE
) -> list[Tone]:
    """The stretches in which nothing but these frequencies sounds.

    A window that the tone fills only by a part ``a`` shows the purity ``a``; so the mask ends ``purity - ½``
    windows too early on each side, which is put back.
    """
    window, hop = int(_TONE_WINDOW_SECONDS * rate), max(1, int(_TONE_HOP_SECONDS * rate))
    if len(heard) < window:
        return []
    edge = np.zeros(window, dtype=np.float32)
    line = np.concatenate((edge, heard, edge))
    frames = np.lib.stride_tricks.sliding_window_view(line, window)[::hop]
    turns = 2 * np.pi * np.outer(np.arange(window) / rate, np.asarray(frequencies))
    basis, _ = np.linalg.qr(np.concatenate((np.cos(turns), np.sin(turns)), axis=1))
    total = np.sum(np.square(frames, dtype=np.float64), axis=1)
    inside = np.sum(np.square(frames @ basis.astype(np.float32), dtype=np.float64), axis=1)
    sounding = (total > window * SILENCE_LEVEL**2) & (inside > _TONE_PURITY * total)
    lost = (_TONE_PURITY - 0.5) * window / rate
    found = []
    for first, end in _runs(sounding):
        # Frame k has its middle at k·hop − window/2 of what was heard.
        start, stop = ((k * hop - window / 2) / rate for k in (first, end - 1))
        tone = Tone(max(0.0, start - lost), min(len(heard) / rate, stop + lost))
        if tone.seconds >= shortest_seconds:
            found.append(tone)
    return found


def silence_gaps(
    heard: Samples, *, shortest_seconds: float = 0.1, level: float = SILENCE_LEVEL, rate: int = RATE
) -> list[Gap]:
    """The stretches of at least ``shortest_seconds`` in which nothing was heard, to ± 10 ms."""
    frame = rate // 100
    usable = len(heard) // frame * frame
    power = np.mean(np.square(heard[:usable].reshape(-1, frame), dtype=np.float64), axis=1)
    gaps = [Gap(first / 100, end / 100) for first, end in _runs(power < level**2)]
    return [gap for gap in gaps if gap.seconds >= shortest_seconds]


def _runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The half-open index ranges in which ``mask`` is true."""
    steps = np.diff(np.concatenate(([0], mask.astype(np.int8), [0])))
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return [(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]
