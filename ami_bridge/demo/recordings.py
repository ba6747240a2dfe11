"""What a softphone heard and said, and when: recordings laid on the wall clock.

baresip's ``sndfile`` writes each RTP packet as it arrives and nothing when none arrives, so a pause in
the stream (a PBX that sends no packets while it waits) makes the file shorter than the call. The size of
the file is therefore looked at every few milliseconds while it grows, and silence is put back where it was.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ami_bridge.demo.hearing import load_wav

HEADER_BYTES = 44
# Sound that stays this much later is after a pause without packets. Less is the far side changing what it
# plays, or a packet lost: a hole put in there would spoil the sound for less than it mends the time.
_LATER_SECONDS = 0.12
_LOOKS_TO_BE_SURE = 25  # half a second of packets


@dataclass(frozen=True, slots=True)
class Stretch:
    """Sound without a pause: sample ``first_sample`` was heard at ``at`` (monotonic seconds).

    The samples after it follow at the sample rate.
    """

    first_sample: int
    at: float


@dataclass(slots=True)
class Recording:
    """One WAV file of one call; ``heard`` tells the two directions apart.

    ``opened`` is the monotonic instant at which baresip said that it opened the file.
    """

    path: Path
    call: int
    heard: bool
    opened: float
    rate: int = 8000
    _looks: list[tuple[float, int]] = field(default_factory=list)

    def look(self, now: float) -> None:
        """Note how long the file is at ``now``; called often while the call lives, from one thread."""
        try:
            size = self.path.stat().st_size
        except OSError:
            return
        samples = max(0, size - HEADER_BYTES) // 2
        if samples and (not self._looks or samples > self._looks[-1][1]):
            self._looks.append((now, samples))

    def stretches(self) -> list[Stretch]:
        """The sound's unbroken stretches, each with the instant of its first sample.

        A look finds a packet late, never early; so the smallest difference of clock and position is the true
        one, and half a second of packets without it means that sound is missing in between. Instants are
        usually true to 50 ms and always to 120 ms.
        """
        found: list[Stretch] = []
        looks = tuple(self._looks)  # the witness goes on looking meanwhile
        seen = [now - samples / self.rate for now, samples in looks]
        before, first, offset = 0, 0, 0.0
        for n, (_, samples) in enumerate(looks):
            if not found or min(seen[n : n + _LOOKS_TO_BE_SURE]) > offset + _LATER_SECONDS:
                first, offset = before, seen[n]
                found.append(Stretch(first, offset + first / self.rate))
            elif seen[n] < offset:
                offset = seen[n]
                found[-1] = Stretch(first, offset + first / self.rate)
            before = samples
        return found

    def monotonic_of(self, seconds: float) -> float:
        """The monotonic instant at which the sound at ``seconds`` of the file was heard."""
        sample = int(seconds * self.rate)
        stretches = self.stretches() or [Stretch(0, self.opened)]
        holding = [stretch for stretch in stretches if stretch.first_sample <= sample] or stretches[:1]
        return holding[-1].at + seconds - holding[-1].first_sample / self.rate

    @property
    def started(self) -> float:
        """The monotonic instant of the first sample (of the opening, when nothing came)."""
        return self.monotonic_of(0.0)


@dataclass(frozen=True, slots=True)
class Heard:
    """A whole call as one ear heard it: sample ``n`` was heard ``n / rate`` seconds after ``started_at``.

    Pauses without packets, and the time between two files of one call, are silence here.
    """

    samples: npt.NDArray[np.float32]
    rate: int
    started: float
    started_at: datetime

    def at(self, seconds: float) -> datetime:
        """The wall clock when the sound at ``seconds`` was heard."""
        return self.started_at + timedelta(seconds=seconds)

    def seconds_at(self, monotonic: float) -> float:
        """Where in the sound a monotonic instant lies."""
        return monotonic - self.started


def wall_clock(monotonic: float, *, now_monotonic: float, now: datetime) -> datetime:
    """Turn a monotonic instant into wall time, given both clocks at one moment."""
    return (now - timedelta(seconds=now_monotonic - monotonic)).astimezone(UTC)


def join(recordings: list[Recording], *, now_monotonic: float, now: datetime) -> Heard:
    """Lay the files of one call and direction on one time line.

    Args:
        recordings: in the order they were opened; may be empty (nothing was heard).
        now_monotonic, now: both clocks at one moment.
    """
    pieces: list[tuple[float, npt.NDArray[np.float32]]] = []
    rate = recordings[0].rate if recordings else 8000
    for recording in recordings:
        samples, rate = load_wav(recording.path)
        if not len(samples):
            continue  # opened at a first 183, replaced by a second before any packet came
        stretches = recording.stretches() or [Stretch(0, recording.opened)]
        ends = [stretch.first_sample for stretch in stretches[1:]] + [len(samples)]
        pieces += [(s.at, samples[s.first_sample : end]) for s, end in zip(stretches, ends, strict=True)]
    started = pieces[0][0] if pieces else now_monotonic
    places = [max(0, round((at - started) * rate)) for at, _ in pieces]
    length = max((place + len(piece) for place, (_, piece) in zip(places, pieces, strict=True)), default=0)
    line = np.zeros(length, dtype=np.float32)
    for place, (_, piece) in zip(places, pieces, strict=True):
        line[place : place + len(piece)] = piece
    return Heard(line, rate, started, wall_clock(started, now_monotonic=now_monotonic, now=now))


class RecordingShelf:
    """All recordings of one phone, safe to read while the phone's witness thread adds to them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._recordings: list[Recording] = []
        self._open: list[Recording] = []

    def opened(self, name: str, call: int, *, heard: bool, now: float) -> None:
        """baresip opened ``name``: give it a name of its own at once.

        baresip names files by the second, so a second file within the same second would overwrite the first.
        """
        with self._lock:
            nth = 1 + sum(1 for r in self._recordings if r.call == call and r.heard == heard)
            path = self._folder / f"call-{call:03d}-{'heard' if heard else 'said'}-{nth}.wav"
            try:
                (self._folder / name).rename(path)
            except FileNotFoundError:
                return  # opened twice before we looked: the first name already carries the sound
            recording = Recording(path, call, heard, now)
            # A new file of the same direction replaces the one before it (a second 183).
            self._open = [r for r in self._open if r.heard != heard]
            self._recordings.append(recording)
            self._open.append(recording)

    def look(self, now: float) -> None:
        """Look at every open file."""
        for recording in tuple(self._open):
            recording.look(now)

    def closed(self, now: float) -> None:
        """The call ended: a last look, then no more."""
        self.look(now)
        with self._lock:
            self._open = []

    @property
    def growing(self) -> bool:
        """Whether any file may still grow."""
        return bool(self._open)

    def of(self, *, heard: bool, call: int | None = None) -> list[Recording]:
        """The recordings of one direction, of one call or of all."""
        with self._lock:
            return [r for r in self._recordings if r.heard == heard and call in (None, r.call)]
