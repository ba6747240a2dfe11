"""What holds for every test: no property fails because the machine was slow, speed is measured by the benches."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("fourthring", deadline=None)
settings.load_profile("fourthring")

_EXCHANGES = ("faults", "pbx")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one running system stay together, where two processes share the tests (see .ci/whole-run).

    First of all such hooks: pytest-xdist reads the groups in its own, which else comes before this one.
    """
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).parts[0]
        if folder in _EXCHANGES:
            item.add_marker(pytest.mark.xdist_group(folder))
