"""``fourthring user``: who may use the desk."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from ami_bridge.adapters.store import NotStored, Store
from ami_bridge.cli.opening import with_store
from ami_bridge.cli.options import AsJson, Config
from ami_bridge.cli.tables import print_json_lines, print_table
from ami_bridge.desk import users
from ami_bridge.desk.rights import Role, Scope
from ami_bridge.errors import FourthRingError
from ami_bridge.settings import load_settings

app = typer.Typer(no_args_is_help=True)

_Name = Annotated[str, typer.Argument(help="The user's name.")]
_FromStdin = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the password from standard input instead of making one."),
]


def _by() -> str:
    return f"cli:{getpass.getuser()}"


def _given(from_stdin: bool) -> str | None:
    """The password from standard input: as an option it would stand in the process list and the history."""
    if not from_stdin:
        return None
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise FourthRingError(
            "--password-stdin was given, but standard input is empty; write the password to it."
        )
    return password


def _say_password(name: str, made: str | None) -> None:
    if made is None:
        typer.echo(f"{name}: the password is set")
    else:
        typer.echo(f"{name}: one-time password {made} (shown only now; the first login asks for an own one)")


@app.command()
def add(
    name: _Name,
    role: Annotated[Role, typer.Option(help="What the user is.")] = Role.AGENT,
    extension: Annotated[str, typer.Option(help="The agent's own phone.")] = "",
    department: Annotated[
        list[str] | None, typer.Option(help="Limit a supervisor to this department; may be repeated.")
    ] = None,
    password_stdin: _FromStdin = False,
    config: Config = None,
) -> None:
    """Add a user and print a one-time password."""
    settings, password = load_settings(config), _given(password_stdin)
    wanted = users.NewUser(name, role, extension, tuple(department or ()))

    async def ask(store: Store) -> str | None:
        return await users.add_user(store, settings, wanted, _by(), password)

    _say_password(name, with_store(config, ask))


@app.command("list")
def list_users(config: Config = None, as_json: AsJson = False) -> None:
    """List the users, the disabled ones too."""
    settings = load_settings(config)
    rows = [
        {
            "name": user.name,
            "role": user.role,
            "extension": user.extension,
            "departments": list(users.departments_shown(user, settings)),
            "created_at": user.created_at,
            "active": user.active,
            "one_time_password": user.one_time,
            "second_factor": bool(user.totp_secret),
        }
        for user in with_store(config, lambda store: store.users())
    ]
    if as_json:
        print_json_lines(rows)
        return
    columns = (
        "name",
        "role",
        "extension",
        "departments",
        "added",
        "active",
        "one-time password",
        "second factor",
    )
    print_table("Users", columns, (list(row.values()) for row in rows))


@app.command()
def passwd(name: _Name, password_stdin: _FromStdin = False, config: Config = None) -> None:
    """Give a user a new one-time password; every session of theirs ends."""
    password = _given(password_stdin)
    _say_password(name, with_store(config, lambda store: users.set_password(store, name, _by(), password)))


@app.command()
def disable(name: _Name, config: Config = None) -> None:
    """Keep a user out: sessions end at once, tokens open nothing. The records keep the name."""
    with_store(config, lambda store: users.set_active(store, name, False, _by()))
    typer.echo(f"{name}: disabled")


@app.command()
def enable(name: _Name, config: Config = None) -> None:
    """Let a disabled user in again."""
    with_store(config, lambda store: users.set_active(store, name, True, _by()))
    typer.echo(f"{name}: enabled")


@app.command()
def totp(
    name: _Name,
    off: Annotated[bool, typer.Option("--off", help="Ask for no second factor any more.")] = False,
    config: Config = None,
) -> None:
    """Ask for a second factor from now on; prints what the user's authenticator application reads."""
    settings = load_settings(config)
    if off:
        with_store(config, lambda store: users.drop_totp(store, name, _by()))
        typer.echo(f"{name}: no second factor")
    else:
        typer.echo(with_store(config, lambda store: users.new_totp(store, settings, name, _by())))


@app.command()
def token(
    name: _Name,
    scope: Annotated[list[Scope], typer.Option(help="What it may be used for; may be repeated.")],
    label: Annotated[str, typer.Option(help="What it is for, for people to read.")] = "",
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="It ends after so many days.")] = None,
    config: Config = None,
) -> None:
    """Make a token with which programs act as a user; printed only now."""
    made = with_store(config, lambda store: users.new_token(store, name, label, scope, days=days, by=_by()))
    typer.echo(f"{made[0].id} {made[1]}")


@app.command()
def tokens(name: _Name, config: Config = None, as_json: AsJson = False) -> None:
    """List a user's tokens, the ended ones too."""
    rows = [
        {
            "id": token.id,
            "label": token.label,
            "scopes": list(token.scopes),
            "created_at": token.created_at,
            "expires_at": token.expires_at,
            "revoked_at": token.revoked_at,
        }
        for token in with_store(config, lambda store: store.tokens(name))
    ]
    if as_json:
        print_json_lines(rows)
        return
    columns = ("id", "label", "scopes", "made", "ends", "revoked")
    print_table("Tokens", columns, (list(row.values()) for row in rows))


@app.command()
def revoke(token_id: Annotated[str, typer.Argument(help="The token's id.")], config: Config = None) -> None:
    """End a token."""

    async def ask(store: Store) -> None:
        found = [entry for entry in await store.tokens() if entry.id == token_id]
        if not found:
            raise NotStored("token", token_id)
        await users.revoke_token(store, found[0], _by())

    with_store(config, ask)
    typer.echo(f"{token_id}: revoked")
