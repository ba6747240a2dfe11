"""``fourthring bench``: ratios of speeds in one run, never speeds alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer
from rich.console import Console

from ami_bridge.cli.options import AsJson, Config
from ami_bridge.cli.tables import print_table
from ami_bridge.errors import FourthRingError

app = typer.Typer(no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure on this machine; ratios above 1 mean that we are faster."""


@app.command()
def tracker(
    finished: Annotated[
        int, typer.Option("--calls", min=100, help="Finished calls after which growth is looked at.")
    ] = 5_000,
    peer: Annotated[
        Path | None, typer.Option("--peer", help="Folder of a cacofonisk checkout to compare with.")
    ] = None,
    logs: Annotated[
        Path | None, typer.Option("--logs", help="Folder of recorded event lists for that comparison.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Raw AMI bytes to facts, beside panoramisk and plain dicts; memory and cost with many calls alive."""
    from ami_bridge.bench.tracker import WANTED, measure

    for folder, option in ((peer, "--peer"), (logs, "--logs")):
        if folder is not None and not folder.is_dir():
            raise FourthRingError(f"{option} {folder} is no folder; give an existing one.")
    figures = measure(finished_calls=finished, peer=peer, logs=logs)
    _show("Tracker", figures, as_json=as_json, wanted=WANTED)


@app.command()
def bridge(
    alive: Annotated[int, typer.Option(min=1, help="Calls in which people talk meanwhile.")] = 10_000,
    rate: Annotated[
        int, typer.Option(min=100, help="Events a second of other calls; 50 calls a second make about 1,200.")
    ] = 1_500,
    seconds: Annotated[float, typer.Option(min=2.0, help="How long callers keep ringing, twice.")] = 15.0,
    as_json: AsJson = False,
) -> None:
    """Is the ring clock on time while thousands of calls live and events flood in? Quiet first, as the baseline."""
    from ami_bridge.bench.bridge import WANTED, measure

    figures = measure(alive=alive, events_per_second=rate, seconds=seconds)
    _show("Bridge", figures, as_json=as_json, wanted=WANTED)


def _show(
    title: str, figures: Mapping[str, Any], *, as_json: bool, wanted: Mapping[str, str] = MappingProxyType({})
) -> None:
    """The machine first, then each figure beside what is wanted of it."""
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    print_table("Machine", ("what", "which"), figures["machine"].items())
    shown = (
        (key, f"{value:.3g}" if isinstance(value, float) else value, wanted.get(key, ""))
        for key, value in figures.items()
        if key != "machine"
    )
    print_table(title, ("figure", "value", "wanted"), shown)


@app.command()
def desks(
    number: Annotated[int, typer.Option("--desks", min=1, max=400, help="Browsers on the live feed.")] = 200,
    calls: Annotated[float, typer.Option("--calls-per-second", min=0.1, max=200)] = 20.0,
    seconds: Annotated[float, typer.Option(min=1.0, max=600.0)] = 20.0,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="The cheapest of so many counts.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Desks on the live feed while calls run: missed updates, and the bridge's processor time with and without."""
    from ami_bridge.bench.desks import Load, measure

    figures = measure(Load(number, calls, seconds), rounds)
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    shown = ((key, f"{value:.3g}" if isinstance(value, float) else value) for key, value in figures.items())
    print_table("Desks", ("figure", "value"), shown)


@app.command()
def claims(
    callbacks: Annotated[int, typer.Option(min=100, help="Due callbacks.")] = 10_000,
    workers: Annotated[int, typer.Option(min=1, max=32, help="Dialer processes.")] = 4,
    kill: Annotated[
        bool, typer.Option("--kill", help="Also let dialers work them off while dialers are killed (-9).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Claims of several processes on a PostgreSQL of its own, beside a bare SKIP LOCKED queue."""
    from ami_bridge.bench import claims as bench_claims

    figures = bench_claims.measure(callbacks=callbacks, workers=workers)
    if kill:
        with Console(stderr=True).status("Dialers are killed …") as status:
            verdict = bench_claims.survive(
                callbacks=callbacks,
                workers=workers,
                told=lambda left, kills: status.update(f"{left} callbacks left, {kills} dialers killed …"),
            )
        figures["killed"] = bench_claims.as_json(verdict)
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
    else:
        shown = (
            (key, f"{value:.3g}" if isinstance(value, float) else value) for key, value in figures.items()
        )
        print_table("Claims", ("figure", "value"), shown)
    if kill and figures["killed"]["faults"]:
        raise typer.Exit(1)


@app.command()
def fairness(
    arrivals: Annotated[int, typer.Option(min=10, max=100_000, help="Callers of the day.")] = 2_000,
    agents: Annotated[int, typer.Option(min=1, max=200, help="People who answer.")] = 12,
    seed: Annotated[int, typer.Option(help="Another seed is another day.")] = 1,
    as_json: AsJson = False,
) -> None:
    """A day on paper with the real dialer: who is served before one who came earlier? Exit code 1 when anybody is."""
    import asyncio

    from ami_bridge.bench import day

    figures = day.figures(asyncio.run(day.play(day.Day(arrivals=arrivals, agents=agents, seed=seed))))
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
    else:
        print_table("A day", ("figure", "value"), figures.items())
    if figures["overtakings"] or figures["callbacks_left"]:
        raise typer.Exit(1)


@app.command()
def greeting(
    calls: Annotated[int, typer.Option(min=10, max=100_000, help="Callers who are greeted.")] = 500,
    rate: Annotated[float, typer.Option(min=1, max=1000, help="Callers a second.")] = 50.0,
    agents: Annotated[
        int,
        typer.Option(min=0, max=500, help="So many people more in the first department."),
    ] = 0,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """From the AGI request to the planned greeting, beside a bare AGI round trip; prompts are rendered ahead first."""
    import asyncio

    from rich.progress import Progress

    from ami_bridge.bench.greeting import Load, grown, measure
    from ami_bridge.settings import load_settings

    settings = grown(load_settings(config), agents)
    with Progress(disable=as_json) as bar:
        task = bar.add_task("Rendering prompts", total=None)
        figures = asyncio.run(
            measure(
                settings,
                Load(calls, rate),
                lambda done, total: bar.update(task, completed=done, total=total),
            )
        )
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    shown = ((key, f"{value:.3g}" if isinstance(value, float) else value) for key, value in figures.items())
    print_table("Greeting", ("figure", "value"), shown)


@app.command()
def turns(
    callers: Annotated[int, typer.Option(min=1, max=100, help="Callers who leave a callback at once.")] = 4,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long they come.")] = 15.0,
    writers: Annotated[int, typer.Option(min=0, max=12, help="Processes that write all the time.")] = 3,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """A turn of a conversation with a caller, while every other service writes to the same SQLite."""
    import asyncio

    from ami_bridge.bench.turns import WANTED, Crowd, measure
    from ami_bridge.settings import load_settings

    figures = asyncio.run(measure(load_settings(config), Crowd(callers, seconds, writers)))
    _show("Turns", figures, as_json=as_json, wanted=WANTED)
    if figures["turns_failed"]:
        raise typer.Exit(1)
