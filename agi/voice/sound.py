"""Sound as Asterisk plays it: 8 kHz, mono, 16 bit; trimmed, at one loudness, never clipped.

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

Samples = NDArray[np.float64]
"""Samples between -1 and 1."""

RATE = 8000
#: Loudness of the speech itself (frames with sound in them), in dB relative to full scale. Telephone
#: prompts are usually kept near -20 dBFS: as loud as a person, far enough from clipping.
LOUDNESS_DBFS = -20.0
#: No sample is louder than this (-1 dBFS).
PEAK = 10 ** (-1 / 20)
_FRAME = RATE // 100  # 10 ms
_SILENCE_DBFS = -50.0
_KEPT_BEFORE, _KEPT_AFTER = 1, 4  # frames of quiet that stay, so that no consonant is cut


def read_wav(content: bytes) -> tuple[Samples, int]:
    """Samples and rate of a mono 16-bit RIFF file; its length fields may be those of a stream.

    ``espeak-ng --stdout`` cannot seek, so it writes a length of about 2 GB into the header.

    Raises:
        ValueError: not such a file.
    """
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
            raw = content[offset : offset + min(size, len(content) - offset) // 2 * 2]
            return np.frombuffer(raw, dtype="<i2").astype(np.float64) / 32768, rate
        offset += size + size % 2
    raise ValueError("This WAV file has no samples.")


def wav_bytes(samples: Samples) -> bytes:
    """The WAV file (8 kHz, mono, 16 bit) of ``samples``."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setparams((1, 2, RATE, len(samples), "NONE", ""))
        file.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
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


def resample(samples: Samples, rate: int) -> Samples:
    """``samples`` at ``rate`` → 8 kHz, by a polyphase windowed-sinc low-pass at 3.7 kHz.

    Without the low-pass, everything above 4 kHz (every s and sh) would fold back as a lisp.
    """
    if rate == RATE or not len(samples):
        return samples
    up, down = RATE // gcd(rate, RATE), rate // gcd(rate, RATE)
    kernel = _kernel(rate, up)
    taps = kernel.shape[1]
    count = -(-len(samples) * up // down)
    position = np.arange(count) * down
    padded = np.concatenate([np.zeros(taps // 2 - 1), samples, np.zeros(taps)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps)[position // up]
    return np.asarray(np.einsum("ij,ij->i", windows, kernel[position % up]), dtype=np.float64)


@cache
def _kernel(rate: int, up: int) -> Samples:
    """One row of filter taps for each of the ``up`` positions that an output sample can have."""
    taps = 2 * round(24 * rate / RATE / 2) + 2
    phases = np.arange(up)[:, None] / up
    distance = np.arange(taps)[None, :] - (taps // 2 - 1) - phases
    cutoff = 3700 / rate
    shape = 2 * cutoff * np.sinc(2 * cutoff * distance)
    window = 0.5 + 0.5 * np.cos(np.pi * np.clip(distance / (taps / 2), -1, 1))
    rows = shape * window
    return np.asarray(rows / rows.sum(axis=1, keepdims=True), dtype=np.float64)


def trim(samples: Samples) -> Samples:
    """Without the silence at both ends; 10 ms before and 40 ms after the speech stay."""
    sounding = np.flatnonzero(_frame_dbfs(samples) > _SILENCE_DBFS)
    if not len(sounding):
        return samples[:0]
    first = max(0, int(sounding[0]) - _KEPT_BEFORE) * _FRAME
    last = (int(sounding[-1]) + 1 + _KEPT_AFTER) * _FRAME
    return samples[first:last]


def loudness_dbfs(samples: Samples) -> float:
    """RMS of the frames that have speech in them, in dBFS; ``-inf`` for silence.

    A frame counts when it is within 20 dB of the loudest: pauses between sentences do not make a
    prompt louder (the idea of ITU-T P.56 active speech level).
    """
    levels = _frame_dbfs(samples)
    if not len(levels) or not np.isfinite(levels.max()):
        return float("-inf")
    active = levels[levels > levels.max() - 20]
    return float(10 * np.log10(np.mean(10 ** (active / 10))))


def voiced_frames(samples: Samples, threshold_dbfs: float) -> int:
    """How many 10 ms frames are louder than ``threshold_dbfs``."""
    return int(np.count_nonzero(_frame_dbfs(samples) > threshold_dbfs))


def normalise(samples: Samples) -> Samples:
    """At :data:`LOUDNESS_DBFS`; peaks above :data:`PEAK` are rounded off instead of clipped."""
    loudness = loudness_dbfs(samples)
    if not np.isfinite(loudness):
        return samples
    return _soft_limit(samples * 10 ** ((LOUDNESS_DBFS - loudness) / 20))


def _soft_limit(samples: Samples) -> Samples:
    """Leave what is below the knee; bend what is above it so that it never passes :data:`PEAK`."""
    knee = 0.7 * PEAK
    size = np.abs(samples)
    bent = knee + (PEAK - knee) * np.tanh((size - knee) / (PEAK - knee))
    return np.asarray(np.where(size > knee, np.sign(samples) * bent, samples), dtype=np.float64)


def _frame_dbfs(samples: Samples) -> Samples:
    """The RMS of each 10 ms in dBFS; the last, shorter frame is filled up with silence."""
    padded = np.pad(samples, (0, -len(samples) % _FRAME)).reshape(-1, _FRAME)
    power = np.mean(padded**2, axis=1)
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(power), dtype=np.float64)
