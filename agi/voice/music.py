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
    time = np.arange(int(0.3 * RATE)) / RATE
    ends = np.minimum(1, np.minimum(time, 0.3 - time) / 0.01)
    return np.asarray(0.2 * ends * np.sin(2 * np.pi * 1000 * time), dtype=np.float64)


def _plucked(step: int, length: int) -> Samples:
    time = np.arange(length) / RATE
    frequency = _C3_HERTZ * 2 ** (step / 12) * 2  # an octave up: telephones carry little below 300 Hz
    tone = sum(np.sin(2 * np.pi * frequency * k * time) / k**2 for k in (1, 2, 3))
    attack = np.minimum(1, time / 0.01)
    release = np.minimum(1, (length / RATE - time) / 0.05)
    return np.asarray(tone * attack * release * np.exp(-1.6 * time), dtype=np.float64)
