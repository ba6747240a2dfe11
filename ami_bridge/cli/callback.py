"""``fourthring callback``: what a person does with one callback, and the switch that stops all of them."""

from __future__ import annotations

import getpass
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from ami_bridge.adapters.store import AuditEntry, Halt, NotStored, StaleFence, Store
from ami_bridge.cli.opening import with_store
from ami_bridge.cli.options import Config
from ami_bridge.core.callbacks import Callback, CallbackEvent, CallbackState, IllegalTransition
from ami_bridge.errors import FourthRingError
from ami_bridge.settings import load_settings

app = typer.Typer(no_args_is_help=True)

_Id = Annotated[str, typer.Argument(help="The callback's id, see: fourthring callbacks")]


def _who() -> str:
    return f"cli:{getpass.getuser()}"


async def _trail(store: Store, action: str, subject: str, **detail: Any) -> None:
    now = datetime.now(UTC)
    key = f"{action}:{subject}:{now.timestamp():.6f}"
    await store.audit(AuditEntry(key, now, _who(), action, subject, detail))


def _change(
    config: Path | None,
    callback_id: str,
    action: str,
    change: Callable[[Store], Awaitable[Callback]],
    **detail: Any,
) -> None:
    """Do it, keep who did it, and say how the callback stands."""

    async def ask(store: Store) -> Callback:
        after = await change(store)
        await _trail(store, f"callback.{action}", callback_id, **detail)
        return after

    try:
        after = with_store(config, ask)
    except (NotStored, IllegalTransition, StaleFence) as error:
        raise FourthRingError(f"{error} Look at it with: fourthring callbacks") from None
    told = f", due {after.due_at.isoformat()}" if after.due_at else ""
    kept = f", kept for {after.assigned_to}" if after.assigned_to else ""
    typer.echo(f"callback {after.id}: {after.state.value}{told}{kept}")


@app.command()
def claim(
    callback_id: _Id,
    minutes: Annotated[int, typer.Option(min=1, max=240, help="For how long.")] = 15,
    config: Config = None,
) -> None:
    """Take it in hand: nobody else does meanwhile, the dialer neither."""
    worker = f"desk:{_who()}"
    _change(
        config,
        callback_id,
        "take",
        lambda store: store.claim_callback(callback_id, worker, minutes * 60.0),
        minutes=minutes,
    )


@app.command()
def release(callback_id: _Id, config: Config = None) -> None:
    """Give a claim of a person back to the others."""

    async def change(store: Store) -> Callback:
        callback = await _known(store, callback_id)
        return await store.release_claim(callback.id, callback.fence)

    _change(config, callback_id, "give_back", change)


@app.command()
def reschedule(
    callback_id: _Id,
    at: Annotated[
        datetime,
        typer.Argument(
            formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"], help="Not before; by the department's own clock."
        ),
    ],
    config: Config = None,
) -> None:
    """Ring back not before then."""
    settings = load_settings(config)

    async def change(store: Store) -> Callback:
        callback = await _dialable(store, callback_id)
        due_at = at.replace(tzinfo=settings.zone_info_of(callback.department)).astimezone(UTC)
        if not datetime.now(UTC) - timedelta(minutes=1) <= due_at <= datetime.now(UTC) + timedelta(days=366):
            raise FourthRingError(f"{at} is not within the next year; write an instant from now on.")
        return await store.update_callback(callback_id, due_at=due_at)

    _change(config, callback_id, "reschedule", change, due_at=at.isoformat())


@app.command()
def assign(
    callback_id: _Id,
    agent: Annotated[str, typer.Argument(help="Extension of the agent who alone is rung; '' for all again.")],
    config: Config = None,
) -> None:
    """Give it to one agent, or back to all."""
    settings = load_settings(config)

    async def change(store: Store) -> Callback:
        callback = await _dialable(store, callback_id)
        members = settings.departments[callback.department].queue
        if agent and agent not in members:
            raise FourthRingError(
                f"'{agent}' is no member of the queue '{callback.department}'; write one of {', '.join(members)}."
            )
        return await store.update_callback(callback_id, assigned_to=agent)

    _change(config, callback_id, "assign", change, agent=agent)


@app.command()
def cancel(
    callback_id: _Id,
    reason: Annotated[str, typer.Option(help="Why it is no longer wanted.")] = "",
    config: Config = None,
) -> None:
    """Call it off, unless somebody is being rung already."""

    async def change(store: Store) -> Callback:
        return await store.update_callback(
            callback_id, event=CallbackEvent.CANCELLED, by=_who(), reason=reason or "cancelled"
        )

    _change(config, callback_id, "cancel", change, reason=reason)


@app.command()
def stop(
    reason: Annotated[str, typer.Argument(help="Why; whoever looks later reads it.")], config: Config = None
) -> None:
    """The switch: no callback is dialled any more, on no node, until `callback start`. Calls go on to their end."""

    async def ask(store: Store) -> bool:
        thrown = await store.halt(Halt(datetime.now(UTC), _who(), reason))
        if thrown:
            await _trail(store, "callbacks.stop", "callbacks", reason=reason)
        return thrown

    typer.echo("No callbacks are dialled." if with_store(config, ask) else "They were stopped already.")


@app.command()
def start(config: Config = None) -> None:
    """Callbacks are dialled again."""

    async def ask(store: Store) -> bool:
        was_off = await store.go_on()
        if was_off:
            await _trail(store, "callbacks.start", "callbacks")
        return was_off

    typer.echo("Callbacks are dialled again." if with_store(config, ask) else "They were not stopped.")


async def _known(store: Store, callback_id: str) -> Callback:
    callback = await store.callback(callback_id)
    if callback is None:
        raise NotStored("callback", callback_id)
    return callback


async def _dialable(store: Store, callback_id: str) -> Callback:
    callback = await _known(store, callback_id)
    if not callback.dialable or callback.state is CallbackState.CAPTURING:
        raise FourthRingError(
            f"Callback {callback_id} has no number or no consent; nobody may be rung for it."
        )
    return callback
