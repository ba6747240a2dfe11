"""The first tables: calls, callbacks, the directory, and what the desk needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Create everything."""
    _calls()
    _callbacks()
    _directory()
    _desk()


def _calls() -> None:
    op.create_table(
        "call",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), server_default="", nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("ended_at", _INSTANT, nullable=True),
        sa.Column("caller_number", sa.Text(), server_default="", nullable=False),
        sa.Column("did", sa.Text(), server_default="", nullable=False),
        sa.Column("department", sa.Text(), server_default="", nullable=False),
        sa.Column("disposition", sa.Text(), server_default="", nullable=False),
        sa.Column("answered_by", sa.Text(), server_default="", nullable=False),
        sa.Column("answered_on_ring", sa.Integer(), nullable=True),
        sa.Column("ring_verdict", sa.Text(), server_default="", nullable=False),
        sa.Column("failover_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("hung_up_by", sa.Text(), server_default="", nullable=False),
        sa.Column("record", _DOCUMENT, nullable=False),
        sa.Column("absorbed_into", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call")),
    )
    op.create_index("ix_call_caller_number", "call", ["caller_number"], unique=False)
    op.create_index("ix_call_department_started_at", "call", ["department", "started_at"], unique=False)
    op.create_index("ix_call_started_at", "call", ["started_at"], unique=False)
    op.create_table(
        "leg",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("uniqueid", sa.Text(), nullable=False),
        sa.Column("record", _DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name=op.f("fk_leg_call_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call_id", "uniqueid", name=op.f("pk_leg")),
    )
    op.create_index("ix_leg_uniqueid", "leg", ["uniqueid"], unique=False)
    op.create_table(
        "note",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), server_default="", nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("fields", _DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name=op.f("fk_note_call_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call_id", "version", name=op.f("pk_note")),
        sa.UniqueConstraint("key", name=op.f("uq_note_key")),
    )


def _callbacks() -> None:
    op.create_table(
        "callback",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.Column("language", sa.Text(), server_default="", nullable=False),
        sa.Column("call_id", sa.Text(), nullable=True),
        sa.Column("channel_uniqueid", sa.Text(), nullable=True),
        sa.Column("place_at", _INSTANT, nullable=True),
        sa.Column("caller_id", sa.Text(), server_default="", nullable=False),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("number_source", sa.Text(), server_default="", nullable=False),
        sa.Column("number_confirmed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("name_recording", sa.Text(), nullable=True),
        sa.Column("subject_recording", sa.Text(), nullable=True),
        sa.Column("name_text", sa.Text(), server_default="", nullable=False),
        sa.Column("subject_text", sa.Text(), server_default="", nullable=False),
        sa.Column("suits_text", sa.Text(), server_default="", nullable=False),
        sa.Column("promised_at", _INSTANT, nullable=True),
        sa.Column("due_at", _INSTANT, nullable=True),
        sa.Column("expires_at", _INSTANT, nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("lease_until", _INSTANT, nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("agent", sa.Text(), nullable=True),
        sa.Column("last_result", sa.Text(), server_default="", nullable=False),
        sa.Column("closed_at", _INSTANT, nullable=True),
        sa.Column("closed_by", sa.Text(), server_default="", nullable=False),
        sa.Column("closed_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("revision", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callback")),
        sa.UniqueConstraint("key", name=op.f("uq_callback_key")),
    )
    op.create_index("ix_callback_channel_uniqueid", "callback", ["channel_uniqueid"], unique=False)
    op.create_index("ix_callback_created_at", "callback", ["created_at"], unique=False)
    op.create_index("ix_callback_state_due_at", "callback", ["state", "due_at"], unique=False)
    op.create_index(
        "uq_callback_number_held",
        "callback",
        ["number"],
        unique=True,
        sqlite_where=sa.text("state IN ('claimed', 'dialing', 'talking')"),
        postgresql_where=sa.text("state IN ('claimed', 'dialing', 'talking')"),
    )
    op.create_table(
        "callback_consent",
        sa.Column("callback_id", sa.Text(), nullable=False),
        sa.Column("given_at", _INSTANT, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), server_default="", nullable=False),
        sa.Column("purpose", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["callback_id"], ["callback.id"], name=op.f("fk_callback_consent_callback_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("callback_id", "given_at", name=op.f("pk_callback_consent")),
    )
    op.create_table(
        "attempt",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("callback_id", sa.Text(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("connected_at", _INSTANT, nullable=True),
        sa.Column("finished_at", _INSTANT, nullable=True),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["callback_id"], ["callback.id"], name=op.f("fk_attempt_callback_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        sa.UniqueConstraint("channel_id", name=op.f("uq_attempt_channel_id")),
    )
    op.create_index("ix_attempt_callback_id", "attempt", ["callback_id"], unique=False)
    op.create_index(
        "uq_attempt_number_open",
        "attempt",
        ["number"],
        unique=True,
        sqlite_where=sa.text("state IN ('dialing', 'talking')"),
        postgresql_where=sa.text("state IN ('dialing', 'talking')"),
    )


def _directory() -> None:
    op.create_table(
        "department",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("names", _DOCUMENT, nullable=False),
        sa.Column("language", sa.Text(), server_default="", nullable=False),
        sa.Column("time_zone", sa.Text(), server_default="", nullable=False),
        sa.Column("dids", _DOCUMENT, nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_department")),
    )
    op.create_table(
        "agent",
        sa.Column("extension", sa.Text(), nullable=False),
        sa.Column("names", _DOCUMENT, nullable=False),
        sa.Column("positions", _DOCUMENT, nullable=False),
        sa.Column("departments", _DOCUMENT, nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.PrimaryKeyConstraint("extension", name=op.f("pk_agent")),
    )
    op.create_table(
        "prompt",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("language", sa.Text(), server_default="", nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_prompt")),
    )
    op.create_table(
        "user",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), server_default="", nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_user")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_user_token_hash")),
    )


def _desk() -> None:
    op.create_table(
        "conversation",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", _DOCUMENT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_conversation")),
    )
    op.create_table(
        "heartbeat",
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("detail", _DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("service", "node", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "audit_entry",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("actor", sa.Text(), server_default="", nullable=False),
        sa.Column("action", sa.Text(), server_default="", nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("detail", _DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_audit_entry")),
    )
    op.create_index("ix_audit_entry_at", "audit_entry", ["at"], unique=False)
    op.create_table(
        "change",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_change")),
        sqlite_autoincrement=True,
    )
