"""Sounds without words, made here: quiet music for the queue (nobody has to be asked for a licence), the beep."""

from __future__ import annotations

import numpy as np

from agi.voice.sound import RATE, Samples

# Four slow chords (C, A minor, F, G with their sevenths) as broken chords, in semitones above C3.
_CHORDS = (
    (0, 7, 12, 16, 19, 16, 12, 7),
    (-3, 4, 9, 12, 16, 12, 9, 4),
    (5, 9, 12, 17, 21, 17, 12, 9),
    (-5, 2, 7, 11, 14, 11, 7, 2),
)
_NOTE_SECONDS = 0.5
_ROUNDS = 4
_C3_HERTZ = 130.81
_PEAK = 0.08  # about 12 dB below the voice: music to wait by, easy to talk over


def hold_music() -> Samples:
    """About a minute of soft plucked chords that can be repeated without a gap."""
    notes = [step for _ in range(_ROUNDS) for chord in _CHORDS for step in chord]
    spacing = int(_NOTE_SECONDS * RATE)
    ringing = 4 * spacing
    track = np.zeros(len(notes) * spacing + ringing)
    for index, step in enumerate(notes):
        track[index * spacing : index * spacing + ringing] += _plucked(step, ringing)
    # What still rings at the end is laid over the beginning, so the loop has no seam.
    track[:ringing] += track[-ringing:]
    music = track[:-ringing]
    return np.asarray(music * (_PEAK / np.abs(music).max()), dtype=np.float64)


def beep() -> Samples:
    """The tone after which a caller speaks: 0.3 s of 1 kHz, with soft ends."""
    return _tone(1000, 0.3, 0.2, RATE)


def nothing() -> Samples:
    """A moment of quiet, for Asterisk's applications, which want a file."""
    return np.zeros(RATE // 20)


def tones_around(seconds: float, rate: int) -> Samples:
    """What an agent hears while the caller is greeted for ``seconds``: "he hears it now", quiet, "now you"."""
    begins, ends = _tone(600, 0.12, 0.08, rate), _tone(1000, 0.25, 0.2, rate)
    track = np.zeros(max(int(seconds * rate), len(ends)))
    track[-len(ends) :] = ends
    if len(track) > 2 * (len(begins) + len(ends)):
        track[: len(begins)] = begins
    return track


def _tone(hertz: float, seconds: float, peak: float, rate: int) -> Samples:
    time = np.arange(int(seconds * rate)) / rate
    ends = np.minimum(1, np.minimum(time, seconds - time) / 0.01)
    return np.asarray(peak * ends * np.sin(2 * np.pi * hertz * time), dtype=np.float64)


def _plucked(step: int, length: int) -> Samples:
    time = np.arange(length) / RATE
    frequency = _C3_HERTZ * 2 ** (step / 12) * 2  # an octave up: telephones carry little below 300 Hz
    tone = sum(np.sin(2 * np.pi * frequency * k * time) / k**2 for k in (1, 2, 3))
    attack = np.minimum(1, time / 0.01)
    release = np.minimum(1, (length / RATE - time) / 0.05)
    return np.asarray(tone * attack * release * np.exp(-1.6 * time), dtype=np.float64)
