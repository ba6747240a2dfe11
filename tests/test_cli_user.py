"""``fourthring user``: adding, listing, passwords, second factor, tokens; each as a person runs it."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pyotp
import pytest
from typer.testing import CliRunner

from ami_bridge import passwords
from ami_bridge.adapters.store import AuditEntry, TokenEntry, UserEntry, opened_store
from ami_bridge.cli.commands import app
from ami_bridge.demo.people import demo_users
from ami_bridge.desk.auth import hashed
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import load_settings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    text = (shipped_folder("config") / "demo.toml").read_text(encoding="utf-8")
    path = tmp_path / "fr.toml"
    text = re.sub(r"state_folder = .*", f'state_folder = "{tmp_path / "s"}"', text)
    path.write_text(text, encoding="utf-8")
    return path


def run(config: Path, *words: str, stdin: str = "") -> str:
    result = CliRunner().invoke(
        app, ["user", *words, "--config", str(config)], input=stdin, catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.output


def refused(config: Path, *words: str, stdin: str = "") -> str:
    result = CliRunner().invoke(app, ["user", *words, "--config", str(config)], input=stdin)
    assert result.exception is not None
    return str(result.exception)


def stored(config: Path) -> tuple[dict[str, UserEntry], list[TokenEntry], list[AuditEntry]]:
    async def look() -> tuple[dict[str, UserEntry], list[TokenEntry], list[AuditEntry]]:
        async with opened_store(load_settings(config).store_url) as store:
            users = {user.name: user for user in await store.users()}
            return users, await store.tokens(), await store.audits()

    return asyncio.run(look())


def fits(user: UserEntry, password: str) -> bool:
    return asyncio.run(passwords.password_fits(user.password_hash, password))


def test_a_user_is_added_changed_disabled_and_every_step_is_in_the_audit_trail(config: Path) -> None:
    told = run(config, "add", "anna", "--extension", "101")
    made = re.search(r"one-time password (\S+)", told)
    assert made
    assert "already" in refused(config, "add", "anna", "--role", "admin")
    (user,) = stored(config)[0].values()
    assert (user.role, user.extension, user.one_time) == ("agent", "101", True)
    assert fits(user, made[1])
    run(config, "passwd", "anna", "--password-stdin", stdin="three plain words\n")
    user = stored(config)[0]["anna"]
    assert (user.one_time, fits(user, "three plain words"), fits(user, made[1])) == (False, True, False)
    run(config, "disable", "anna")
    assert not stored(config)[0]["anna"].active
    run(config, "enable", "anna")
    (row,) = map(json.loads, run(config, "list", "--json").splitlines())
    assert (row["name"], row["departments"], row["active"]) == ("anna", ["sales"], True)
    assert "password_hash" not in row
    actions = [entry.action for entry in reversed(stored(config)[2])]
    assert actions == ["user.add", "user.passwd", "user.disable", "user.enable"]
    assert all(entry.actor.startswith("cli:") for entry in stored(config)[2])


def test_a_second_factor_is_for_an_application(config: Path) -> None:
    run(config, "add", "boss", "--role", "supervisor", "--department", "sales")
    uri = run(config, "totp", "boss").strip()
    read = pyotp.parse_uri(uri)
    assert isinstance(read, pyotp.TOTP)
    assert read.secret == stored(config)[0]["boss"].totp_secret
    run(config, "totp", "boss", "--off")
    assert stored(config)[0]["boss"].totp_secret == ""


def test_a_token_is_shown_once_and_can_be_ended(config: Path) -> None:
    run(config, "add", "crm", "--role", "supervisor")
    token_id, secret = run(
        config, "token", "crm", "--scope", "calls:read", "--label", "CRM", "--days", "30"
    ).split()
    (token,) = stored(config)[1]
    assert (token.id, token.token_hash, token.scopes) == (token_id, hashed(secret), ("calls:read",))
    assert token.expires_at is not None
    assert 29 <= (token.expires_at - datetime.now(UTC)).days <= 30
    assert secret not in run(config, "tokens", "crm", "--json")
    run(config, "revoke", token_id)
    assert stored(config)[1][0].revoked_at is not None
    assert "tk-none" in refused(config, "revoke", "tk-none")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("add", "Anna!"), "a letter first"),
        (("add", "desk", "--role", "admin"), "'desk'"),
        (("add", "anna"), "--extension"),
        (("add", "anna", "--extension", "999"), "'999'; write one of 101"),
        (("add", "boss", "--role", "supervisor", "--department", "x"), "'x'; write one of sales"),
        (("add", "boss", "--role", "admin", "--password-stdin"), "standard input is empty"),
        (("passwd", "nobody"), "'nobody'"),
        (("disable", "nobody"), "'nobody'"),
        (("token", "nobody", "--scope", "calls:read"), "no active user 'nobody'"),
    ],
)
def test_what_cannot_be_is_one_sentence(config: Path, words: tuple[str, ...], named: str) -> None:
    sentence = refused(config, *words)
    assert named in sentence
    assert sentence.endswith((".", "?"))
    assert "\n" not in sentence


def test_the_demo_has_users_whose_passwords_are_good_until_one_is_chosen(config: Path) -> None:
    settings = load_settings(config)
    first = asyncio.run(demo_users(settings))
    assert [(user.name, user.role) for user in first] == [
        ("anna", "agent"),
        ("pyotr", "agent"),
        ("olga", "agent"),
        ("supervisor", "supervisor"),
        ("admin", "admin"),
    ]
    run(config, "passwd", "anna", "--password-stdin", stdin="three plain words\n")
    again = {user.name: user.password for user in asyncio.run(demo_users(settings))}
    assert again["anna"] is None
    assert again["olga"] not in {None, first[2].password}
    kept = stored(config)[0]
    assert fits(kept["anna"], "three plain words")
    assert fits(kept["olga"], again["olga"] or "")
    assert kept["pyotr"].one_time
