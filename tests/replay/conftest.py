"""Where recordings made by others lie: beside the checkout, or where $FOURTHRING_SHARED says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def shared_recordings() -> Path | None:
    named = os.environ.get("FOURTHRING_SHARED")
    shared = Path(named) if named else Path(__file__).resolve().parents[3] / "shared"
    recordings = shared / "recordings"
    return recordings if (recordings / "expected.json").is_file() else None


@pytest.fixture(scope="session")
def recordings() -> Path:
    found = shared_recordings()
    if found is None:
        pytest.skip("no shared recordings: put them in ../shared/recordings or set FOURTHRING_SHARED")
    return found
