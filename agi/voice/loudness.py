"""Loudness as people hear it: ITU-R BS.1770-4, in LUFS, for one channel, with numpy alone.

A K-weighted mean square over blocks of 400 ms that overlap by three quarters; blocks below -70 LUFS, and then those
10 LU below the mean of the rest, do not count, so pauses make no prompt quieter. The filters are the standard's two
biquads, worked out for the rate at hand from their analogue prototypes (the standard prints them for 48 kHz only).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]

_BLOCK_SECONDS = 0.4
_HOP_PARTS = 4
_ABSOLUTE_GATE = -70.0
_RELATIVE_GATE = -10.0
_OFFSET = -0.691
# The analogue prototypes behind the standard's coefficients: frequency (Hz), Q, gain (dB).
_SHELF = (1681.974450955533, 0.7071752369554196, 3.999843853973347)
_HIGH_PASS = (38.13547087602444, 0.5003270373238773)


def loudness_lufs(samples: Row, rate: int) -> float:
    """Integrated loudness; ``-inf`` for silence. What is shorter than a block is measured as one."""
    if not len(samples):
        return float("-inf")
    power = np.square(_weighted(samples, rate))
    block = min(len(power), int(_BLOCK_SECONDS * rate))
    hop = max(1, block // _HOP_PARTS)
    sums = np.concatenate(([0.0], np.cumsum(power)))
    starts = np.arange(0, len(power) - block + 1, hop)
    blocks = (sums[starts + block] - sums[starts]) / block
    loud = blocks[blocks > _power(_ABSOLUTE_GATE)]
    if not len(loud):
        return float("-inf")
    loud = loud[loud > _power(_level(float(loud.mean())) + _RELATIVE_GATE)]
    return _level(float(loud.mean()))


def _level(power: float) -> float:
    return _OFFSET + 10 * math.log10(power)


def _power(level: float) -> float:
    return float(10 ** ((level - _OFFSET) / 10))


def _weighted(samples: Row, rate: int) -> Row:
    """K-weighted ``samples``: the filters' response is applied to the spectrum, with room for their ringing."""
    size = 1 << (len(samples) + rate // 2).bit_length()
    spectrum = np.fft.rfft(samples, size) * _response(rate, size)
    return np.asarray(np.fft.irfft(spectrum, size)[: len(samples)], dtype=np.float64)


@lru_cache(maxsize=16)
def _response(rate: int, size: int) -> NDArray[np.complex128]:
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    return _biquad(*_shelf(rate), z) * _biquad(*_high_pass(rate), z)


def _biquad(b: Row, a: Row, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
    return np.asarray(np.polyval(b[::-1], z) / np.polyval(a[::-1], z), dtype=np.complex128)


def _shelf(rate: int) -> tuple[Row, Row]:
    frequency, q, gain = _SHELF
    k = math.tan(math.pi * frequency / rate)
    high = 10 ** (gain / 20)
    middle = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    b = [high + middle * k / q + k * k, 2 * (k * k - high), high - middle * k / q + k * k]
    a = [a0, 2 * (k * k - 1), 1 - k / q + k * k]
    return np.array(b) / a0, np.array(a) / a0


def _high_pass(rate: int) -> tuple[Row, Row]:
    frequency, q = _HIGH_PASS
    k = math.tan(math.pi * frequency / rate)
    a0 = 1 + k / q + k * k
    return np.array([1.0, -2.0, 1.0]), np.array([a0, 2 * (k * k - 1), 1 - k / q + k * k]) / a0
