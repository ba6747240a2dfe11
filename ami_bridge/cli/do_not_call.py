"""``fourthring do-not-call``: people who are never rung back, whoever asks for it."""

from __future__ import annotations

import dataclasses
import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ami_bridge.adapters.store import AuditEntry, DoNotCall, Store
from ami_bridge.cli.opening import with_store
from ami_bridge.cli.options import AsJson, Config
from ami_bridge.cli.tables import print_json_lines, print_table
from ami_bridge.errors import FourthRingError
from ami_bridge.numbers import e164_of
from ami_bridge.settings import load_settings

app = typer.Typer(no_args_is_help=True)

_Number = Annotated[
    str, typer.Argument(help="The telephone number, as it is dialled at home or with a plus.")
]


def _e164(config: Path | None, number: str) -> str:
    found = e164_of(number, load_settings(config).company.country)
    if found is None:
        raise FourthRingError(f"'{number}' is no telephone number; write one such as +79161234567.")
    return found


async def _trail(store: Store, action: str, number: str, reason: str = "") -> None:
    now, by = datetime.now(UTC), f"cli:{getpass.getuser()}"
    key = f"{action}:{number}:{now.timestamp():.6f}"
    await store.audit(AuditEntry(key, now, by, action, number, {"reason": reason} if reason else {}))


@app.command()
def add(
    number: _Number,
    reason: Annotated[str, typer.Option(help="Why: what the person said.")] = "",
    config: Config = None,
) -> None:
    """Never ring this number again; callbacks that wait for it are cancelled at once."""
    e164 = _e164(config, number)

    async def ask(store: Store) -> int:
        entry = DoNotCall(e164, datetime.now(UTC), f"cli:{getpass.getuser()}", reason)
        ended = await store.forbid_calling(entry)
        await _trail(store, "do_not_call.add", e164, reason)
        return len(ended)

    ended = with_store(config, ask)
    typer.echo(f"{e164} is never rung again; callbacks cancelled: {ended}")


@app.command()
def remove(number: _Number, config: Config = None) -> None:
    """The person may be rung back again."""
    e164 = _e164(config, number)

    async def ask(store: Store) -> bool:
        was_there = await store.allow_calling(e164)
        if was_there:
            await _trail(store, "do_not_call.remove", e164)
        return was_there

    if not with_store(config, ask):
        raise FourthRingError(f"{e164} is not on the do-not-call list; see: fourthring do-not-call list")
    typer.echo(f"{e164} may be rung again")


@app.command("list")
def show(config: Config = None, as_json: AsJson = False) -> None:
    """Everybody who is never rung, by number."""
    found = with_store(config, lambda store: store.do_not_call())
    if as_json:
        print_json_lines(dataclasses.asdict(entry) for entry in found)
        return
    rows = ((entry.number, entry.at, entry.by, entry.reason) for entry in found)
    print_table("Do not call", ("number", "since", "by", "reason"), rows)
