"""``fourthring report``, ``purge`` and ``erase``: what a period came to, and how people leave the records."""

from __future__ import annotations

import asyncio
import dataclasses
import getpass
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from ami_bridge import erasure
from ami_bridge.adapters.store.sql import SqlStore
from ami_bridge.cli.opening import with_store
from ami_bridge.cli.options import AsJson, Config, Since, Until, parse_instant
from ami_bridge.cli.tables import print_table
from ami_bridge.errors import FourthRingError
from ami_bridge.report import Line, report_of
from ami_bridge.settings import load_settings

_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count; nothing is changed.")]
_Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def report(config: Config = None, since: Since = None, until: Until = None, as_json: AsJson = False) -> None:
    """Service level with its formula, answers, talk and callbacks of a period, by department."""
    start, end = parse_instant(since, "--since"), parse_instant(until, "--until")
    told = with_store(config, lambda store: report_of(store, start, end))
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(told), ensure_ascii=False, default=str))
        return
    columns = (
        "department", "calls", "answered", "gave up", "counted", "in time", "service level", "answer s",
        "talk s", "callbacks", "kept",
    )  # fmt: skip
    print_table("Report", columns, [_row(line) for line in (*told.departments, told.total)])
    typer.echo(f"Service level = {told.formula}.")


def _row(line: Line) -> list[object]:
    level = "too few" if line.service_level is None else f"{line.service_level} %"
    return [
        line.department or "all", line.calls, line.answered, line.gave_up, line.counted, line.in_time, level,
        line.answer_seconds, line.talk_seconds, line.callbacks, line.callbacks_by_state.get("done", 0),
    ]  # fmt: skip


def purge(
    days: Annotated[
        float | None, typer.Option("--days", min=1, help="Older than this goes (default: retention.days).")
    ] = None,
    dry_run: _DryRun = False,
    yes: _Yes = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take out calls, notes, callbacks, recordings and journal that are older than the house keeps them."""
    settings = load_settings(config)
    kept = days if days is not None else settings.retention.days
    if kept is None:
        raise FourthRingError(
            "How long are records kept? Give --days, or set retention.days in the configuration."
        )
    _carry_out(
        config, lambda store, dry: erasure.purge(settings, store, kept, _by(), dry=dry), dry_run, yes, as_json
    )


def erase(
    number: Annotated[str, typer.Argument(help="The person's telephone number.")],
    dry_run: _DryRun = False,
    yes: _Yes = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take one person out of records, notes, callbacks, recordings, the journal and the PBX's own logs."""
    settings = load_settings(config)
    person = erasure.person_of(number, settings)
    _carry_out(
        config,
        lambda store, dry: erasure.erase(settings, store, person, _by(), dry=dry),
        dry_run,
        yes,
        as_json,
    )


def _carry_out(
    config: Path | None,
    work: Callable[[SqlStore, bool], Awaitable[erasure.Erased]],
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    found = _with_sql_store(config, lambda store: work(store, True))
    if not dry_run and not yes:
        _tell(found, False)
        typer.confirm("Take this out for good?", abort=True)
    done = found if dry_run else _with_sql_store(config, lambda store: work(store, False))
    _tell(done, as_json)


def _tell(told: erasure.Erased, as_json: bool) -> None:
    figures = dataclasses.asdict(told)
    if as_json:
        typer.echo(json.dumps(figures))
        return
    dry = figures.pop("dry_run")
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in figures.items())
    typer.echo(f"{'Found' if dry else 'Taken out'}: {counts}.")


def _by() -> str:
    return f"cli:{getpass.getuser()}"


def _with_sql_store(
    config: Path | None, work: Callable[[SqlStore], Awaitable[erasure.Erased]]
) -> erasure.Erased:
    async def working() -> erasure.Erased:
        store = SqlStore(load_settings(config).store_url)
        await store.open()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(working())
