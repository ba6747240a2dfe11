"""``fourthring audit``: our records against the PBX's own channel event log."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from ami_bridge.adapters.channel_event_log import ChannelEventLog
from ami_bridge.adapters.store import opened_store
from ami_bridge.auditing import AuditReport
from ami_bridge.auditing import audit as run_audit
from ami_bridge.cli.options import AsJson, Config, Since, Until, parse_instant
from ami_bridge.cli.tables import print_json_lines, print_table
from ami_bridge.core.audit import Difference, Tolerances
from ami_bridge.errors import FourthRingError
from ami_bridge.render import cel_file
from ami_bridge.settings import load_settings

_A_DAY = timedelta(days=1)
UNEXPLAINED = 1


def audit(
    config: Config = None,
    since: Since = None,
    until: Until = None,
    tolerance: Annotated[
        float, typer.Option(min=0.001, max=60, help="Instants and talk may differ by so many seconds.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Hold the call records of a period (default: the last day) against the PBX's own channel event log.

    Exit code 1 when a difference is left that no gap and no open call explains.
    """
    now = datetime.now(UTC)
    begin, end = parse_instant(since, "--since") or now - _A_DAY, parse_instant(until, "--until") or now
    if begin >= end:
        raise FourthRingError(
            f"--since {begin.isoformat()} is not before --until {end.isoformat()}; swap them."
        )
    allowed = timedelta(seconds=tolerance)
    report = asyncio.run(_ask(config, begin, end, Tolerances(instant=allowed, talk=allowed)))
    (_print_json if as_json else _print_report)(report)
    if report.unexplained:
        raise typer.Exit(UNEXPLAINED)


async def _ask(config: Any, since: datetime, until: datetime, tolerances: Tolerances) -> AuditReport:
    settings = load_settings(config)
    log, journal = ChannelEventLog(cel_file(settings)), settings.state_folder / "journal"
    async with opened_store(settings.store_url) as store:
        return await run_audit(
            store, log, journal, settings.node.name, since=since, until=until, tolerances=tolerances
        )


def _print_json(report: AuditReport) -> None:
    """One object a difference, then one that sums up."""
    print_json_lines({"kind": "difference", **row} for row in _rows(report.differences))
    print_json_lines(
        [
            {
                "kind": "summary",
                "since": report.period.since,
                "until": report.period.until,
                "calls": report.calls,
                "channels": report.channels,
                "unreadable_lines": report.unreadable,
                "explained": len(report.differences) - len(report.unexplained),
                "unexplained": len(report.unexplained),
                "deaf": [deaf._asdict() for deaf in report.deaf],
            }
        ]
    )


def _print_report(report: AuditReport) -> None:
    columns = ("call", "subject", "at", "channel", "our record", "the PBX's log", "explained by")
    rows = [
        (
            row["call_id"],
            row["subject"],
            row["at"],
            row["uniqueid"],
            row["ours"],
            row["pbx"],
            row["explained_by"],
        )
        for row in _rows(report.differences)
    ]
    print_table("Differences", columns, rows)
    reasons = Counter(difference.reason for difference in report.differences if difference.reason)
    explained = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "none"
    typer.echo(
        f"{report.calls} calls with {report.channels} channels compared; differences: "
        f"{len(report.unexplained)} unexplained, explained: {explained}."
    )
    if report.unreadable:
        typer.echo(
            f"{report.unreadable} lines of the log were not written whole by the PBX and were passed over."
        )


def _rows(differences: tuple[Difference, ...]) -> Iterator[dict[str, Any]]:
    for difference in differences:
        row = difference._asdict()
        row["explained_by"] = row.pop("reason")
        yield row
