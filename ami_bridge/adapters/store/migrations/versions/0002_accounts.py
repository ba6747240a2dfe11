"""Accounts: passwords, second factor, sessions, tokens with scopes. A user's old token lives on as one of them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_accounts"
down_revision = "0001"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
# What a token could do before there were scopes.
_OLD_SCOPES = [
    "callbacks:read",
    "callbacks:write",
    "calls:read",
    "directory:read",
    "live:read",
    "notes:write",
]


def upgrade() -> None:
    """Keep the old tokens in hand, alter the users, then make the tables that refer to them.

    In that order: SQLite alters a table by making it anew, and dropping the old one would take with it
    every row that refers to it.
    """
    tokens = _old_tokens()
    _users()
    _sessions_and_tokens()
    if tokens:
        op.bulk_insert(_TOKEN, tokens)


def _users() -> None:
    with op.batch_alter_table("user") as user:
        user.drop_constraint("uq_user_token_hash", type_="unique")
        user.drop_column("token_hash")
        user.add_column(sa.Column("extension", sa.Text(), server_default="", nullable=False))
        user.add_column(sa.Column("departments", _DOCUMENT, server_default="[]", nullable=False))
        user.add_column(sa.Column("password_hash", sa.Text(), server_default="", nullable=False))
        user.add_column(sa.Column("one_time", sa.Boolean(), server_default=sa.false(), nullable=False))
        user.add_column(sa.Column("totp_secret", sa.Text(), server_default="", nullable=False))
        user.add_column(sa.Column("totp_step", sa.BigInteger(), server_default="0", nullable=False))


def _sessions_and_tokens() -> None:
    op.create_table(
        "token",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), server_default="", nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("scopes", _DOCUMENT, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=True),
        sa.Column("revoked_at", _INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["user"], ["user.name"], name="fk_token_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_token"),
        sa.UniqueConstraint("token_hash", name="uq_token_token_hash"),
    )
    op.create_index("ix_token_user", "token", ["user"])
    op.create_table(
        "session",
        sa.Column("cookie_hash", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("browser", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user.name"], name="fk_session_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("cookie_hash", name="pk_session"),
        sa.UniqueConstraint("id", name="uq_session_id"),
    )
    op.create_index("ix_session_user", "session", ["user"])


_TOKEN = sa.table(
    "token",
    *(sa.column(name) for name in ("id", "user", "label", "token_hash")),
    sa.column("scopes", type_=_DOCUMENT),
    sa.column("created_at", type_=_INSTANT),
)


def _old_tokens() -> list[dict[str, Any]]:
    user = sa.table(
        "user", sa.column("name"), sa.column("token_hash"), sa.column("created_at", type_=_INSTANT)
    )
    rows = op.get_bind().execute(sa.select(user).where(user.c.token_hash != "")).mappings().all()
    return [
        {
            "id": f"tk{row['token_hash'][:16]}",
            "user": row["name"],
            "label": "first token",
            "token_hash": row["token_hash"],
            "scopes": _OLD_SCOPES,
            "created_at": row["created_at"],
        }
        for row in rows
    ]
