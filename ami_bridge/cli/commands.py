"""The commands. Each reads its options, calls one function of the rooms below, and prints."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ami_bridge import __version__
from ami_bridge.adapters.store import Store
from ami_bridge.cli import (
    audit,
    bench,
    callbacks,
    do_not_call,
    keeping,
    pbx,
    recording,
    switch,
    user,
    voice,
)
from ami_bridge.cli.opening import with_store
from ami_bridge.cli.options import AsJson, Config, Since, Until, parse_instant
from ami_bridge.cli.tables import print_json_lines, print_table
from ami_bridge.logs import set_up_logging
from ami_bridge.settings import Settings, default_config_path, load_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(pbx.app, name="pbx", help="The private Asterisk: build, start, stop, status.")
app.add_typer(user.app, name="user", help="Who may use the desk: add, list, passwd, disable, token …")
app.command()(audit.audit)
for _keeping in (keeping.report, keeping.purge, keeping.erase):
    app.command()(_keeping)
app.command()(voice.preview)
app.command()(voice.prompts)
app.command("own-voice")(voice.own_voice)
for _switch in (switch.stop, switch.start):
    callbacks.app.command()(_switch)
app.add_typer(
    callbacks.app,
    name="callbacks",
    help="List callbacks, newest first; or take, move, cancel one; stop and start all.",
)
app.add_typer(do_not_call.app, name="do-not-call", help="People who are never rung back: add, remove, list.")
app.add_typer(bench.app, name="bench", help="Ratios of speeds in one run on this machine.")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fourthring {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Telephone reception with manners: answered by the fourth ring, or the queue answers."""


# Services ---------------------------------------------------------------------------------


@app.command()
def up(config: Config = None) -> None:
    """Run bridge, AGI, desk and dialer until Ctrl-C; one that dies is started again."""
    from ami_bridge.configuring import restart_marker
    from ami_bridge.supervisor import Supervisor, until_signalled

    set_up_logging("up")
    settings = load_settings(config)
    services = Supervisor(config or default_config_path())
    services.marker = restart_marker(settings.state_folder)
    asyncio.run(until_signalled(services))


@app.command()
def bridge(config: Config = None) -> None:
    """Run the AMI bridge: ring clock, records, journal."""
    from ami_bridge.services import run_bridge

    _serve("bridge", config, run_bridge)


@app.command()
def agi(config: Config = None) -> None:
    """Run the FastAGI service: greetings and conversations."""
    from agi.service import serve

    _serve("agi", config, serve)


@app.command()
def desk(config: Config = None) -> None:
    """Run the desk: HTTP API and pages."""
    from ami_bridge.services import run_desk

    _serve("desk", config, functools.partial(run_desk, config=config or default_config_path()))


@app.command()
def dialer(config: Config = None) -> None:
    """Run the dialer: callbacks are rung back."""
    from ami_bridge.services import run_dialer

    _serve("dialer", config, run_dialer)


def _serve(name: str, config: Path | None, run: Callable[[Settings], Awaitable[None]]) -> None:
    from ami_bridge.services import until_terminated

    set_up_logging(name)
    settings = load_settings(config)
    asyncio.run(until_terminated(run(settings)))


# Configuration ----------------------------------------------------------------------------


@app.command()
def render(
    config: Config = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to (default: the private PBX's own).")
    ] = None,
) -> None:
    """Write Asterisk's configuration files from the one TOML file."""
    from ami_bridge.render import render_to

    settings = load_settings(config)
    typer.echo(f"Asterisk's files are in {render_to(settings, out)}")


@app.command()
def check(
    config: Config = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the running PBX.")] = False,
    as_json: AsJson = False,
) -> None:
    """Prove configuration, prompts and dialplan; exit code 1 when something is wrong."""
    from ami_bridge.check import run_checks

    findings = run_checks(load_settings(config), offline=offline)
    _print_findings(findings, as_json)


@app.command()
def doctor(config: Config = None, as_json: AsJson = False) -> None:
    """Diagnose a running system: PBX, services, store, disk, prompts; exit code 1 when something is ill."""
    from ami_bridge.doctor import examine

    findings = asyncio.run(examine(load_settings(config)))
    _print_findings(findings, as_json)


def _print_findings(findings: list[Any], as_json: bool) -> None:
    if as_json:
        print_json_lines(dataclasses.asdict(finding) for finding in findings)
    else:
        for finding in findings:
            typer.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.subject}: {finding.message}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


# Looking ----------------------------------------------------------------------------------


@app.command()
def calls(
    config: Config = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, newest first.")] = 100,
    gaps: Annotated[
        bool,
        typer.Option("--gaps", help="When nobody listened, which calls that touched, and what is not known."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List calls, newest first: on which ring they were answered, by whom, who hung up first."""

    async def ask(store: Store) -> list[Any]:
        return await store.calls(
            since=parse_instant(since, "--since"),
            until=parse_instant(until, "--until"),
            limit=recording.MOST_CALLS if gaps else limit,
        )

    found = with_store(config, ask)
    if gaps:
        touched = [call.record for call in found if call.record.get("gaps")][:limit]
        period = parse_instant(since, "--since"), parse_instant(until, "--until")
        _print_gaps(recording.all_gap_rows(load_settings(config), touched, *period), as_json)
        return
    if as_json:
        print_json_lines(call.record for call in found)
        return
    print_table(
        "Calls",
        (
            "id",
            "started",
            "from",
            "department",
            "disposition",
            "answered by",
            "ring",
            "verdict",
            "failover",
            "hung up",
        ),
        (
            (
                call.id,
                call.started_at,
                call.caller_number,
                call.department,
                call.disposition,
                call.answered_by,
                call.answered_on_ring,
                call.ring_verdict,
                call.failover_reason,
                call.hung_up_by,
            )
            for call in found
        ),
    )


def _print_gaps(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json_lines(rows)
        return
    columns = ("id", "started", "from", "disposition", "lost", "found", "seconds", "not known")
    print_table("Gaps", columns, (list(row.values()) for row in rows))


@app.command()
def promises(
    config: Config = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="At most so many, soonest due first.")
    ] = 1000,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that are still to be kept.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what was promised, by whom, due when; how long is left; how many were kept."""
    from ami_bridge.cli import ledger

    async def ask(store: Store) -> list[Any]:
        return await ledger.lines_of(
            store,
            parse_instant(since, "--since"),
            parse_instant(until, "--until"),
            limit,
            only_open=only_open,
        )

    found = with_store(config, ask)
    if as_json:
        print_json_lines(found)
        return
    print_table(ledger.title_of(found), tuple(ledger.COLUMNS), ledger.rows_of(found))


@app.command()
def agents(
    config: Config = None,
    secrets: Annotated[
        bool, typer.Option("--secrets", help="Also print the passwords of their phones.")
    ] = False,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """List agents: extension, name, departments, and whether their phone is registered."""
    from ami_bridge.directory import agent_rows

    rows = agent_rows(
        load_settings(config),
        with_secrets=secrets,
        since=parse_instant(since, "--since"),
        until=parse_instant(until, "--until"),
    )
    if as_json:
        print_json_lines(rows)
        return
    columns = [
        "extension",
        "name",
        "position",
        "departments",
        "phone",
        "answered",
        "missed",
        *(["secret"] if secrets else []),
    ]
    print_table("Agents", columns, ([row[column] for column in columns] for row in rows))


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="Raw AMI text, a JSON list of events, or JSON lines.")],
) -> None:
    """Tell what happened in a recorded stretch of AMI events: one JSON object per call."""
    from ami_bridge.replay import replay_file

    print_json_lines(record.as_json() for record in replay_file(file))


@app.command()
def record(
    file: Annotated[Path, typer.Argument(help="JSON lines file to write.")],
    config: Config = None,
    since: Since = None,
    until: Until = None,
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
) -> None:
    """Copy a stretch of the journal into a file that ``replay`` understands."""
    settings = load_settings(config)
    count = recording.record_stretch(
        settings.state_folder / "journal",
        settings.node.name,
        parse_instant(since, "--since"),
        parse_instant(until, "--until"),
        file,
        replace=force,
    )
    typer.echo(f"{file}: {count} entries")


@app.command()
def say(
    text: Annotated[str | None, typer.Argument(help="What to say.")] = None,
    greeting: Annotated[
        bool, typer.Option("--greeting", help="Say a department's greeting instead of a text.")
    ] = False,
    department: Annotated[str | None, typer.Option(help="Whose greeting (default: the first).")] = None,
    agent: Annotated[str | None, typer.Option(help="Extension of the agent who is named.")] = None,
    language: Annotated[
        str | None, typer.Option(help="Language of the text (default: the company's).")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="WAV file to write.")] = Path("prompt.wav"),
    config: Config = None,
) -> None:
    """Render a prompt to a WAV file, as a caller would hear it."""
    from ami_bridge.directory import spoken_text

    spoken, tongue = spoken_text(load_settings(config), text, greeting, department, agent, language)
    from agi.voice.prompts import say as render_speech

    render_speech(spoken, tongue, out)
    typer.echo(f"{out}: {spoken}")


@app.command()
def demo(
    config: Config = None,
    once: Annotated[
        bool, typer.Option("--once", help="Play the story once, one JSON line a step, and end.")
    ] = False,
) -> None:
    """Run everything on this machine and play one caller through it."""
    from ami_bridge.demo.runner import run_demo

    sys.exit(asyncio.run(run_demo(config or default_config_path(), once=once)))
