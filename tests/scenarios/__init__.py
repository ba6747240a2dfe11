"""Scenes of a reception, played by scripted phones on a real Asterisk; see tests/recordings/README.md."""
