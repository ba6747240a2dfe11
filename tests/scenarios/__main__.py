"""``python -m tests.scenarios FOLDER [NAME …]``: play the scenes on this machine's Asterisk and record them.

Writes ``FOLDER/NAME.jsonl`` (AMI events, one a line) and the truths into ``FOLDER/expected.json``. Exit code 1
when a record does not say what the script did.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings
from tests.scenarios.pbx import ScenarioPbx, scenario_settings
from tests.scenarios.stories import SCENES, Scene
from tests.scenarios.truth import told

FIRST_PORT = 29060


def settings_in(folder: Path, first_port: int = FIRST_PORT) -> Settings:
    """The demo's company with a state folder and ports of its own."""
    document: dict[str, Any] = tomllib.loads(
        (shipped_folder("config") / "demo.toml").read_text(encoding="utf-8")
    )
    for section, changed in scenario_settings(folder, first_port).items():
        document[section].update(changed)
    return parse_settings(document)


async def perform(pbx: ScenarioPbx, scene: Scene) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Play one scene; its events, and what the records say."""
    try:
        await scene.play(pbx)
        # Nobody else hangs up now: that would be one more who did.
        events, records = await pbx.quiet()
    finally:
        for phone in pbx.phones:
            await phone.clear()
        await pbx.forget()
    return events, [told(record) for record in records]


async def record(folder: Path, names: list[str]) -> int:
    """Play and write; the number of scenes that went otherwise than the script says."""
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "expected.json"
    expected = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
    failed = 0
    with tempfile.TemporaryDirectory(prefix="fs-") as state:
        async with ScenarioPbx(settings_in(Path(state))) as pbx:
            for name in names or list(SCENES):
                scene = SCENES[name]
                try:
                    events, story = await perform(pbx, scene)
                except (TimeoutError, AssertionError) as error:
                    failed += 1
                    print(f"{name}: {error}", flush=True)
                    continue
                same = story == scene.truth
                failed += not same
                print(f"{name}: {'ok' if same else 'differs'}, {len(events)} events", flush=True)
                if not same:
                    print(f"  script {json.dumps(scene.truth)}\n  record {json.dumps(story)}", flush=True)
                lines = (json.dumps(event, ensure_ascii=False) + "\n" for event in events)
                (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
                expected[name] = scene.truth[0] if len(scene.truth) == 1 else scene.truth
    rows = (f" {json.dumps(name)}: {json.dumps(truth)}" for name, truth in sorted(expected.items()))
    index.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
    return failed


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default all of: {', '.join(SCENES)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(SCENES):
        parser.error(f"no such scene: {', '.join(sorted(unknown))}")
    return 1 if asyncio.run(record(arguments.folder, arguments.names)) else 0


if __name__ == "__main__":
    sys.exit(main())
