"""Sound as Asterisk plays it: 8 and 16 kHz, mono, 16 bit; trimmed, at one loudness, never clipped.

numpy does the arithmetic, so that a node needs no sox beside espeak-ng.
"""

from __future__ import annotations

import io
import os
import struct
import wave
from functools import cache
from math import gcd
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agi.voice.loudness import loudness_lufs

Samples = NDArray[np.float64]
"""Samples between -1 and 1."""

RATE = 8000
#: For calls in wide band (G.722): Asterisk takes the file whose rate suits the call.
WIDE_RATE = 16000
#: Integrated loudness of every prompt. About -20 dBFS of active speech: as loud as a person on a telephone line,
#: far enough from clipping.
LOUDNESS_LUFS = -21.0
#: No sample is louder than this (-1 dBFS).
PEAK = 10 ** (-1 / 20)
_FRAMES_A_SECOND = 100
_SILENCE_DBFS = -50.0
_KEPT_BEFORE, _KEPT_AFTER = 1, 4  # frames of quiet that stay, so that no consonant is cut
_FADE_SECONDS = 0.004  # both ends come from and go to nothing: no click where prompts are joined
_CLOSE_ENOUGH_LU = 0.05


def read_wav(content: bytes) -> tuple[Samples, int]:
    """Samples and rate of a mono 16-bit RIFF file; its length fields may be those of a stream.

    ``espeak-ng --stdout`` cannot seek, so it writes a length of about 2 GB into the header.

    Raises:
        ValueError: not such a file.
    """
    raw, rate = data_of(content)
    return np.frombuffer(raw, dtype="<i2").astype(np.float64) / 32768, rate


def data_of(content: bytes) -> tuple[bytes, int]:
    """As :func:`read_wav`, with the samples as they lie in the file."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise ValueError("This is not a WAV file.")
    offset, rate = 12, 0
    while offset + 8 <= len(content):
        kind, size = struct.unpack_from("<4sI", content, offset)
        offset += 8
        if kind == b"fmt ":
            form, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", content, offset)
            if (form, channels, bits) != (1, 1, 16):
                raise ValueError("This WAV file is not mono with 16 bits.")
        elif kind == b"data":
            return content[offset : offset + min(size, len(content) - offset) // 2 * 2], rate
        offset += size + size % 2
    raise ValueError("This WAV file has no samples.")


def wav_bytes(samples: Samples, rate: int = RATE) -> bytes:
    """The WAV file (mono, 16 bit) of ``samples``."""
    return wav_of_data(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes(), rate)


def wav_of_data(raw: bytes, rate: int) -> bytes:
    """The WAV file (mono, 16 bit) of samples as :func:`data_of` gave them."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setparams((1, 2, rate, len(raw) // 2, "NONE", ""))
        file.writeframes(raw)
    return target.getvalue()


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``path`` whole or not at all; a reader never meets half a file.

    Raises:
        OSError: as it came; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        staged.write_bytes(content)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def fit_for_telephone(samples: Samples, rate: int) -> dict[int, Samples]:
    """Rate → the prompt at that rate, for each that Asterisk is given: trimmed, levelled, with soft ends.

    Empty sound stays empty.
    """
    spoken = trim(samples, rate)
    return {
        wanted: _soft_ends(level(resample(spoken, rate, wanted), wanted), wanted)
        for wanted in (RATE, WIDE_RATE)
    }


def resample(samples: Samples, rate: int, wanted: int = RATE) -> Samples:
    """``samples`` at ``rate`` → at ``wanted`` Hz, by a polyphase windowed-sinc low-pass below half of the lower rate.

    Without the low-pass, everything above 4 kHz (every s and sh) would fold back as a lisp.
    """
    if rate == wanted or not len(samples):
        return samples
    up, down = wanted // gcd(rate, wanted), rate // gcd(rate, wanted)
    kernel = _kernel(rate, min(rate, wanted), up)
    taps = kernel.shape[1]
    count = -(-len(samples) * up // down)
    position = np.arange(count) * down
    padded = np.concatenate([np.zeros(taps // 2 - 1), samples, np.zeros(taps)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps)[position // up]
    return np.asarray(np.einsum("ij,ij->i", windows, kernel[position % up]), dtype=np.float64)


@cache
def _kernel(rate: int, lower: int, up: int) -> Samples:
    """One row of filter taps for each of the ``up`` positions that an output sample can have."""
    taps = 2 * round(24 * rate / lower / 2) + 2
    phases = np.arange(up)[:, None] / up
    distance = np.arange(taps)[None, :] - (taps // 2 - 1) - phases
    cutoff = 0.4625 * lower / rate  # 3.7 kHz of 4
    shape = 2 * cutoff * np.sinc(2 * cutoff * distance)
    window = 0.5 + 0.5 * np.cos(np.pi * np.clip(distance / (taps / 2), -1, 1))
    rows = shape * window
    return np.asarray(rows / rows.sum(axis=1, keepdims=True), dtype=np.float64)


def trim(samples: Samples, rate: int = RATE) -> Samples:
    """Without the silence at both ends; 10 ms before and 40 ms after the speech stay."""
    sounding = np.flatnonzero(_frame_dbfs(samples, rate) > _SILENCE_DBFS)
    if not len(sounding):
        return samples[:0]
    frame = rate // _FRAMES_A_SECOND
    first = max(0, int(sounding[0]) - _KEPT_BEFORE) * frame
    last = (int(sounding[-1]) + 1 + _KEPT_AFTER) * frame
    return samples[first:last]


def voiced_frames(samples: Samples, threshold_dbfs: float, rate: int = RATE) -> int:
    """How many 10 ms frames are louder than ``threshold_dbfs``."""
    return int(np.count_nonzero(_frame_dbfs(samples, rate) > threshold_dbfs))


def level(samples: Samples, rate: int = RATE) -> Samples:
    """At :data:`LOUDNESS_LUFS`; peaks above :data:`PEAK` are rounded off instead of clipped."""
    levelled = _soft_limit(samples)
    # Rounding off peaks takes a little loudness, which the next round gives back.
    for _ in range(4):
        loudness = loudness_lufs(levelled, rate)
        if not np.isfinite(loudness) or abs(LOUDNESS_LUFS - loudness) < _CLOSE_ENOUGH_LU:
            break
        raised = levelled * 10 ** ((LOUDNESS_LUFS - loudness) / 20)
        levelled = _soft_limit(raised)
        if levelled is raised:
            break
    return levelled


def _soft_ends(samples: Samples, rate: int) -> Samples:
    length = min(int(_FADE_SECONDS * rate), len(samples) // 2)
    if length == 0:
        return samples
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(length) / length)
    return np.concatenate([samples[:length] * rise, samples[length:-length], samples[-length:] * rise[::-1]])


def _soft_limit(samples: Samples) -> Samples:
    """Leave what is below the knee; bend what is above it so that it never passes :data:`PEAK`."""
    knee = 0.7 * PEAK
    size = np.abs(samples)
    if not len(size) or size.max() <= knee:
        return samples
    bent = knee + (PEAK - knee) * np.tanh((size - knee) / (PEAK - knee))
    return np.asarray(np.where(size > knee, np.sign(samples) * bent, samples), dtype=np.float64)


def _frame_dbfs(samples: Samples, rate: int) -> Samples:
    """The RMS of each 10 ms in dBFS; the last, shorter frame is filled up with silence."""
    frame = rate // _FRAMES_A_SECOND
    padded = np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame)
    power = np.mean(padded**2, axis=1)
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(power), dtype=np.float64)
