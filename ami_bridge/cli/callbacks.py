"""``fourthring callbacks``: the list, and what a person does with one without the desk."""

from __future__ import annotations

import dataclasses
import getpass
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from ami_bridge.adapters.store import AuditEntry, NotStored, Store
from ami_bridge.cli.opening import with_store
from ami_bridge.cli.options import AsJson, Config, Since, Until, parse_instant
from ami_bridge.cli.tables import print_json_lines, print_table
from ami_bridge.core.callbacks import Callback, CallbackEvent, CallbackState, IllegalTransition
from ami_bridge.errors import FourthRingError
from ami_bridge.numbers import e164_of
from ami_bridge.settings import load_settings

app = typer.Typer()

_COLUMNS = (
    "id",
    "asked for",
    "department",
    "number",
    "state",
    "attempts",
    "last result",
    "due",
    "agent",
    "in hand of",
)
_Id = Annotated[str, typer.Argument(help="The callback's id, as `fourthring callbacks` shows it.")]
_Reason = Annotated[str, typer.Option(help="Why; kept with the callback.")]
_Minutes = Annotated[int, typer.Option(min=1, max=480, help="After so many minutes it goes back by itself.")]
_State = Annotated[CallbackState | None, typer.Option(help="Only those in this state.")]
_Department = Annotated[str | None, typer.Option(help="Only this department's.")]
_Number = Annotated[str | None, typer.Option(help="Only this telephone number's, merged ones too.")]
_Limit = Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, newest first.")]
_FURTHEST = timedelta(days=366)


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    """Which callbacks are asked for."""

    config: Path | None
    since: datetime | None
    until: datetime | None
    state: CallbackState | None
    department: str | None
    number: str | None
    limit: int

    async def ask(self, store: Store) -> list[Callback]:
        """Newest first."""
        if self.number is None:
            states = None if self.state is None else [self.state]
            return await store.callbacks(
                states=states,
                department=self.department,
                since=self.since,
                until=self.until,
                limit=self.limit,
            )
        e164 = e164_of(self.number, load_settings(self.config).company.country)
        if e164 is None:
            raise FourthRingError(f"'{self.number}' is no telephone number; write one such as +79161234567.")
        found = await store.callbacks_of_number(e164, since=self.since)
        return [each for each in reversed(found) if self._fits(each)][: self.limit]

    def _fits(self, callback: Callback) -> bool:
        return (
            self.state in {None, callback.state}
            and self.department in {None, callback.department}
            and (self.until is None or callback.created_at < self.until)
        )


@app.callback(invoke_without_command=True)
def callbacks(
    context: typer.Context,
    config: Config = None,
    since: Since = None,
    until: Until = None,
    state: _State = None,
    department: _Department = None,
    number: _Number = None,
    limit: _Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List callbacks, newest first: whom to ring, why, and what became of it. Or act on one of them."""
    wanted = _Wanted(
        config,
        parse_instant(since, "--since"),
        parse_instant(until, "--until"),
        state,
        department,
        number,
        limit,
    )
    if context.invoked_subcommand is not None:
        context.obj = wanted
        return
    found = with_store(config, wanted.ask)
    if as_json:
        print_json_lines(dataclasses.asdict(callback) for callback in found)
        return
    print_table("Callbacks", _COLUMNS, (_row(callback) for callback in found))


def _row(callback: Callback) -> tuple[object, ...]:
    return (
        callback.id,
        callback.created_at,
        callback.department,
        callback.number or callback.caller_id,
        callback.state,
        callback.attempts,
        callback.last_result,
        callback.due_at,
        callback.agent,
        _holder(callback),
    )


@app.command()
def show(context: typer.Context, callback_id: _Id, config: Config = None) -> None:
    """Everything about one as JSON: its fields, consents, attempts and history."""

    async def ask(store: Store) -> dict[str, Any]:
        callback = await _stored(store, callback_id)
        more: dict[str, list[Any]] = {
            "consents": await store.consents(callback.id),
            "tries": await store.attempts(callback.id),
            "history": await store.callback_history(callback.id),
        }
        told = {name: [dataclasses.asdict(each) for each in entries] for name, entries in more.items()}
        return {**dataclasses.asdict(callback), **told}

    print_json_lines([with_store(config_of(context, config), ask)])


@app.command()
def take(
    context: typer.Context,
    callback_id: _Id,
    by: Annotated[str, typer.Option("--for", help="The desk's user who takes it.")],
    minutes: _Minutes = 30,
    config: Config = None,
) -> None:
    """Take one in hand for a user: nobody else rings it meanwhile, the dialer neither."""

    async def act(store: Store, callback: Callback) -> Callback:
        return await store.claim_callback(callback.id, await _worker(store, by), minutes * 60.0)

    _act(context, config, callback_id, "take", act, user=by, minutes=minutes)


@app.command("give-back")
def give_back(context: typer.Context, callback_id: _Id, config: Config = None) -> None:
    """Give one that a user has in hand back to the others."""

    async def act(store: Store, callback: Callback) -> Callback:
        return await _given_back(store, callback)

    _act(context, config, callback_id, "give_back", act)


@app.command()
def reassign(
    context: typer.Context,
    callback_id: _Id,
    to: Annotated[str, typer.Argument(help="The desk's user who goes on with it.")],
    minutes: _Minutes = 30,
    config: Config = None,
) -> None:
    """Out of one user's hands into another's."""

    async def act(store: Store, callback: Callback) -> Callback:
        worker = await _worker(store, to)
        if _holder(callback):
            await _given_back(store, callback)
        return await store.claim_callback(callback.id, worker, minutes * 60.0)

    _act(context, config, callback_id, "reassign", act, user=to, minutes=minutes)


@app.command()
def assign(
    context: typer.Context,
    callback_id: _Id,
    agent: Annotated[str, typer.Argument(help="Extension of the agent who alone is rung; '' for all again.")],
    config: Config = None,
) -> None:
    """Have one agent alone rung for it, or all again."""
    departments = load_settings(config_of(context, config)).departments

    async def act(store: Store, callback: Callback) -> Callback:
        members = departments[callback.department].queue
        if agent and agent not in members:
            raise FourthRingError(
                f"'{agent}' is no member of the queue '{callback.department}'; write one of {', '.join(members)}."
            )
        return await store.update_callback(_dialable(callback, "assign").id, assigned_to=agent)

    _act(context, config, callback_id, "assign", act, agent=agent)


@app.command()
def reschedule(
    context: typer.Context,
    callback_id: _Id,
    when: Annotated[str, typer.Argument(help="Not before this instant, such as 2026-11-23T09:00+03:00.")],
    config: Config = None,
) -> None:
    """Ring at another time."""
    due_at, now = parse_instant(when, "WHEN"), datetime.now(UTC)
    if due_at is None or not now - timedelta(minutes=1) <= due_at <= now + _FURTHEST:
        raise FourthRingError(f"'{when}' is not within the next year; write an instant from now on.")
    _act(context, config, callback_id, "reschedule", _due(due_at), due_at=due_at.isoformat())


@app.command("call-now")
def call_now(context: typer.Context, callback_id: _Id, config: Config = None) -> None:
    """Ring as soon as an agent is free and its turn has come."""
    _act(context, config, callback_id, "call_now", _due(datetime.now(UTC)))


@app.command()
def cancel(
    context: typer.Context, callback_id: _Id, reason: _Reason = "cancelled by hand", config: Config = None
) -> None:
    """Call one off, unless somebody is being rung already."""

    async def act(store: Store, callback: Callback) -> Callback:
        return await store.update_callback(
            callback.id, event=CallbackEvent.CANCELLED, by=user_here(), reason=reason
        )

    _act(context, config, callback_id, "cancel", act, reason=reason)


@app.command()
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file that ends with .csv or .xlsx.")],
    config: Config = None,
) -> None:
    """Write the list into a table. Which ones: the options before the word ``export``."""
    from ami_bridge.desk.export_api import CALLBACKS
    from ami_bridge.desk.sheets import csv_lines, write_xlsx

    wanted: _Wanted = context.obj
    if file.suffix not in {".csv", ".xlsx"}:
        raise FourthRingError(f"'{file}' ends with neither .csv nor .xlsx; choose one of them.")

    async def ask(store: Store) -> list[Callback]:
        found = await wanted.ask(store)
        await add_to_trail(store, "export.callbacks", "callbacks", file=file.name, rows=len(found))
        return found

    rows = [CALLBACKS.row(callback) for callback in with_store(config_of(context, config), ask)]
    try:
        if file.suffix == ".xlsx":
            write_xlsx(file, CALLBACKS.title, CALLBACKS.columns, rows)
        else:
            file.write_text("\ufeff" + csv_lines([CALLBACKS.columns, *rows]), encoding="utf-8", newline="")
    except OSError as error:
        raise FourthRingError(f"Cannot write {file}: {error.strerror}; choose another place.") from None
    typer.echo(f"{file}: {len(rows)} callbacks")


# What they share --------------------------------------------------------------------------

_Act = Callable[[Store, Callback], Awaitable[Callback]]


def config_of(context: typer.Context, config: Path | None) -> Path | None:
    """``--config`` may stand before or behind the word."""
    return config or context.obj.config


def _act(
    context: typer.Context, config: Path | None, callback_id: str, action: str, act: _Act, **detail: Any
) -> None:
    """Do it, write it into the trail, and show what has become of the callback."""

    async def ask(store: Store) -> Callback:
        after = await act(store, await _stored(store, callback_id))
        await add_to_trail(store, f"callback.{action}", callback_id, **detail)
        return after

    try:
        after = with_store(config_of(context, config), ask)
    except IllegalTransition as error:
        raise FourthRingError(str(error)) from None
    print_table("Callbacks", _COLUMNS, [_row(after)])


async def _stored(store: Store, callback_id: str) -> Callback:
    callback = await store.callback(callback_id)
    if callback is None:
        raise NotStored("callback", callback_id)
    return callback


def _due(due_at: datetime) -> _Act:
    async def act(store: Store, callback: Callback) -> Callback:
        if _holder(_dialable(callback, "ring back")):
            return await store.release_claim(callback.id, callback.fence, due_at=due_at)
        return await store.update_callback(callback.id, due_at=due_at)

    return act


def _dialable(callback: Callback, wish: str) -> Callback:
    if not callback.dialable:
        raise IllegalTransition(
            f"callback {callback.id}", callback.state, wish, "number or consent is missing"
        )
    return callback


async def _given_back(store: Store, callback: Callback) -> Callback:
    if not _holder(callback):
        raise IllegalTransition(
            f"callback {callback.id}", callback.state, "give back", "no user has it in hand"
        )
    return await store.release_claim(callback.id, callback.fence)


def _holder(callback: Callback) -> str:
    from ami_bridge.desk.callbacks_api import taken_by_user

    return taken_by_user(callback)


async def _worker(store: Store, user: str) -> str:
    """The name by which the desk knows what ``user`` has in hand. Raises FourthRingError."""
    from ami_bridge.desk.callbacks_api import DESK_WORKER

    if await store.user(user) is None:
        raise FourthRingError(f"The desk has no user '{user}'; see: fourthring user list")
    return f"{DESK_WORKER}{user}"


async def add_to_trail(store: Store, action: str, subject: str, **detail: Any) -> None:
    """Keep that it was done by hand, here."""
    now = datetime.now(UTC)
    key = f"{action}:{subject}:{now.timestamp():.6f}"
    await store.audit(AuditEntry(key, now, user_here(), action, subject, detail))


def user_here() -> str:
    """Who stands in the audit trail."""
    return f"cli:{getpass.getuser()}"
