"""``fourthring preview`` and ``prompts``: what callers hear, as text and as sound; rendering it ahead."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ami_bridge.cli.options import AsJson, Config
from ami_bridge.cli.tables import print_json_lines, print_table
from ami_bridge.settings import load_settings


def preview(
    department: Annotated[
        str | None, typer.Option(help="Whose words (default: the first department).")
    ] = None,
    agent: Annotated[str, typer.Option(help="Extension of the agent who is named.")] = "",
    language: Annotated[str, typer.Option(help="Language (default: the department's first).")] = "",
    at: Annotated[
        datetime | None, typer.Option(help="When, on the department's wall clock (default: now).")
    ] = None,
    caller: Annotated[str, typer.Option(help="Caller's number: the farewell suits the clock there.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write the sound of each to, as WAV files.")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show every greeting and farewell of a department as a caller would hear it at an instant."""
    from agi.voice.preview import preview_of
    from ami_bridge.directory import known_department

    settings = load_settings(config)
    key = known_department(settings, department, agent or None)
    zone = settings.zone_info_of(key)
    when = at.replace(tzinfo=zone) if at else datetime.now(zone)
    heard = preview_of(settings, key, agent=agent, language=language, at=when, caller=caller, out=out)
    if as_json:
        print_json_lines(heard)
        return
    columns = ("what", "words", *(["sound"] if out else []))
    print_table(
        f"{key}, {when:%A %Y-%m-%d %H:%M}", columns, ([row[column] for column in columns] for row in heard)
    )


def prompts(config: Config = None, as_json: AsJson = False) -> None:
    """Render ahead everything that callers may hear within two days; exit code 1 when something is missing.

    The AGI does the same when it starts and every few hours; run this after a change of the configuration, and
    the services find everything ready.
    """
    import time

    from rich.progress import Progress

    from agi.voice.cache import VoiceCache
    from agi.voice.upkeep import read_trouble

    settings = load_settings(config)
    voice = VoiceCache(settings)
    began = time.monotonic()
    try:
        with Progress(disable=as_json) as bar:
            task = bar.add_task("Rendering prompts", total=None)
            missing = voice.prepare(lambda done, total: bar.update(task, completed=done, total=total))
    finally:
        voice.close()
    wanted = len(voice.wanted(datetime.now(UTC)))
    if as_json:
        seconds = round(time.monotonic() - began, 3)
        print_json_lines([{"prompts": wanted, "missing": missing, "seconds": seconds}])
    else:
        typer.echo(read_trouble(settings) if missing else f"All {wanted} prompts are ready.")
    if missing:
        raise typer.Exit(1)


def own_voice(
    agent: Annotated[str, typer.Argument(help="Extension of the agent.")],
    file: Annotated[Path | None, typer.Argument(help="WAV file (mono, 16 bit) with the name.")] = None,
    greeting: Annotated[
        str, typer.Option("--greeting", help="The file is the whole greeting in this language.")
    ] = "",
    forget: Annotated[bool, typer.Option("--forget", help="Remove what the agent has recorded.")] = False,
    config: Config = None,
) -> None:
    """Give callers an agent's own voice: a recorded name, or a whole greeting. It wins over the synthetic voice."""
    from agi.voice import own_voice as own
    from ami_bridge.directory import known_department
    from ami_bridge.errors import FourthRingError

    settings = load_settings(config)
    known_department(settings, None, agent)
    if (file is None) != forget:
        raise FourthRingError("Give either a WAV FILE or --forget.")
    if greeting and greeting not in settings.languages:
        raise FourthRingError(
            f"--greeting '{greeting}' is not spoken here; write one of {settings.languages}."
        )
    if file is None:
        own.forget(settings, agent)
        typer.echo(f"{agent} is named by the voice of the house again.")
        return
    try:
        content = file.read_bytes()
    except OSError as error:
        raise FourthRingError(f"Cannot read {file}: {error.strerror}; give a WAV file.") from None
    own.keep(settings, agent, content, greeting=greeting)
    typer.echo(f"The next caller of {agent} hears it.")
