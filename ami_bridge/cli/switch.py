"""The switch of ``fourthring callbacks``: stops all dialling, and lets it go on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from ami_bridge.adapters.store import Halt, Store
from ami_bridge.cli.callbacks import add_to_trail, config_of, user_here
from ami_bridge.cli.opening import with_store
from ami_bridge.cli.options import Config


def stop(
    context: typer.Context,
    reason: Annotated[str, typer.Argument(help="Why; whoever looks later reads it.")],
    config: Config = None,
) -> None:
    """The switch: no callback is dialled any more, on no node, until `callbacks start`. Calls go on to their end."""

    async def ask(store: Store) -> bool:
        thrown = await store.halt(Halt(datetime.now(UTC), user_here(), reason))
        if thrown:
            await add_to_trail(store, "callbacks.stop", "callbacks", reason=reason)
        return thrown

    stopped = with_store(config_of(context, config), ask)
    typer.echo("No callbacks are dialled." if stopped else "They were stopped already.")


def start(context: typer.Context, config: Config = None) -> None:
    """Callbacks are dialled again."""

    async def ask(store: Store) -> bool:
        was_off = await store.go_on()
        if was_off:
            await add_to_trail(store, "callbacks.start", "callbacks")
        return was_off

    started = with_store(config_of(context, config), ask)
    typer.echo("Callbacks are dialled again." if started else "They were not stopped.")
