"""What holds for every test: no property fails because the machine was slow, speed is measured by the benches."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("fourthring", deadline=None)
settings.load_profile("fourthring")

_EXCHANGES = ("faults", "pbx")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one running system stay together, where two processes share the tests (see .ci/whole-run)."""
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).parts[0]
        if folder in _EXCHANGES:
            item.add_marker(pytest.mark.xdist_group(folder))
