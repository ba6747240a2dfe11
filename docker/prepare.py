#!/opt/fourthring/bin/python
"""Makes everything that Asterisk reads: its configuration, the fixed prompts, the music. Run before each start.

Asterisk looks for its music when it starts; where there is none yet, callers wait in silence until it is told to look
again. And without the fixed prompts the dialplan has no words of its own when the services are down.
"""

from __future__ import annotations

import sys

from agi.voice.cache import VoiceCache
from ami_bridge.errors import FourthRingError
from ami_bridge.render import render_to, spool_folder
from ami_bridge.settings import load_settings


def main() -> str | None:
    """Prepare the state folder; what went wrong, or None."""
    settings = load_settings()
    spool_folder(settings).mkdir(parents=True, exist_ok=True, mode=0o700)
    sys.stdout.write(f"Asterisk's files are in {render_to(settings, None)}\n")
    voice = VoiceCache(settings)
    try:
        missing = voice.prepare()
    finally:
        voice.close()
    if missing:
        return f"{missing} prompts could not be rendered; the reason of each is above."
    sys.stdout.write("Every prompt is rendered\n")
    return None


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FourthRingError as error:
        sys.exit(str(error))
