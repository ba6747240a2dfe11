"""The two files of a prompt; a prompt's path is without extension, as Asterisk wants it."""

from __future__ import annotations

from pathlib import Path


def wav_of(path: Path) -> Path:
    """The file behind a prompt's path."""
    return path.with_name(f"{path.name}.wav")


def wide_of(path: Path) -> Path:
    """The file behind a prompt's path for calls in wide band: 16 kHz, in what Asterisk calls wav16."""
    return path.with_name(f"{path.name}.wav16")
