"""What holds for every test: no property fails because the machine was slow, speed is measured by the benches."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("fourthring", deadline=None)
settings.load_profile("fourthring")
