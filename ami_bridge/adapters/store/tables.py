"""The tables, as SQLAlchemy sees them. A change here needs a migration; a test compares the two."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect

from ami_bridge.core.callbacks import CLAIMABLE, HELD, OPEN_ATTEMPT, CallbackState

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(sa.types.TypeDecorator[datetime]):
    """A zone-aware instant, kept in UTC. SQLite has no zones: there the UTC clock reading is kept."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse what has no zone; hand UTC to the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"The instant {value.isoformat()} has no time zone.")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say that it is UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Document = sa.JSON().with_variant(JSONB(), "postgresql")
# SQLite counts a rowid only in a column of type INTEGER; PostgreSQL would run out of 32 bits.
Sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str, **more: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default="", **more)


call = sa.Table(
    "call",
    metadata,
    sa.Column("id", sa.Text(), primary_key=True),
    _text("node"),
    sa.Column("started_at", Instant(), nullable=False),
    sa.Column("ended_at", Instant()),
    _text("caller_number"),
    _text("did"),
    _text("department"),
    _text("disposition"),
    _text("answered_by"),
    sa.Column("answered_on_ring", sa.Integer()),
    _text("ring_verdict"),
    _text("failover_reason"),
    _text("hung_up_by"),
    sa.Column("record", Document, nullable=False),
    _text("absorbed_into"),
    sa.Index("ix_call_started_at", "started_at"),
    sa.Index("ix_call_department_started_at", "department", "started_at"),
    sa.Index("ix_call_caller_number", "caller_number"),
)

leg = sa.Table(
    "leg",
    metadata,
    sa.Column("call_id", sa.ForeignKey("call.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("uniqueid", sa.Text(), primary_key=True),
    _text("extension"),
    sa.Column("record", Document, nullable=False),
    sa.Index("ix_leg_uniqueid", "uniqueid"),
    sa.Index("ix_leg_extension", "extension"),
)

note = sa.Table(
    "note",
    metadata,
    sa.Column("call_id", sa.ForeignKey("call.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("key", sa.Text(), nullable=False, unique=True),
    _text("author"),
    sa.Column("at", Instant(), nullable=False),
    sa.Column("fields", Document, nullable=False),
)

call_mark = sa.Table(
    "call_mark",
    metadata,
    sa.Column("key", sa.Text(), primary_key=True),
    sa.Column(
        "call_id", sa.Text(), nullable=False
    ),  # no foreign key: a card is shown before its call is stored
    sa.Column("kind", sa.Text(), nullable=False),
    _text("by"),
    sa.Column("at", Instant(), nullable=False),
    sa.Column("detail", Document, nullable=False),
    sa.Index("ix_call_mark_call_id", "call_id"),
    sa.Index("ix_call_mark_kind_at", "kind", "at"),
)

agreement = sa.Table(
    "agreement",
    metadata,
    sa.Column("call_id", sa.ForeignKey("call.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("agent", sa.Text(), nullable=False),
    _text("department"),
    _text("number"),
    _text("name"),
    _text("subject"),
    _text("place"),
    sa.Column("due_at", Instant(), nullable=False),
    _text("made_by"),
    sa.Column("made_at", Instant(), nullable=False),
    _text("confirm"),
    sa.Column("state", sa.Text(), nullable=False),
    _text("settled_by"),
    sa.Column("settled_at", Instant()),
    sa.Index("ix_agreement_due_at", "due_at"),
    sa.Index("ix_agreement_agent_due_at", "agent", "due_at"),
)

callback = sa.Table(
    "callback",
    metadata,
    sa.Column("id", sa.Text(), primary_key=True),
    sa.Column("key", sa.Text(), nullable=False, unique=True),
    sa.Column("department", sa.Text(), nullable=False),
    sa.Column("state", sa.Text(), nullable=False),
    sa.Column("created_at", Instant(), nullable=False),
    sa.Column("updated_at", Instant(), nullable=False),
    _text("language"),
    sa.Column("call_id", sa.Text()),  # no foreign key: the capture may be stored before its call
    sa.Column("channel_uniqueid", sa.Text()),
    sa.Column("place_at", Instant()),
    _text("caller_id"),
    sa.Column("number", sa.Text()),
    _text("number_source"),
    sa.Column("number_confirmed", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("name_recording", sa.Text()),
    sa.Column("subject_recording", sa.Text()),
    _text("name_text"),
    _text("subject_text"),
    _text("suits_text"),
    sa.Column("suits_until", Instant()),
    _text("time_zone"),
    _text("origin"),
    sa.Column("merged_into", sa.Text()),
    _text("assigned_to"),
    sa.Column("promised_at", Instant()),
    sa.Column("due_at", Instant()),
    sa.Column("expires_at", Instant()),
    sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("worker", sa.Text()),
    sa.Column("lease_until", Instant()),
    sa.Column("fence", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("agent", sa.Text()),
    _text("last_result"),
    sa.Column("closed_at", Instant()),
    _text("closed_by"),
    _text("closed_reason"),
    sa.Column("revision", sa.Integer(), nullable=False, server_default="0"),
    sa.Index("ix_callback_state", "state"),
    sa.Index("ix_callback_number", "number"),
    sa.Index("ix_callback_created_at", "created_at"),
    sa.Index("ix_callback_channel_uniqueid", "channel_uniqueid"),
    sa.Index("ix_callback_number_created_at", "number", "created_at"),
)


def in_states(column: sa.ColumnElement[str], states: Collection[str]) -> sa.ColumnElement[bool]:
    """``column`` is one of ``states``, written out: a partial index serves only who spells its condition."""
    return column.in_([sa.literal(state, literal_execute=True) for state in sorted(map(str, states))])


def _only_where(name: str, condition: sa.ColumnElement[bool], *columns: Any, unique: bool = False) -> None:
    sa.Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _one_each(name: str, column: sa.Column[Any], states: frozenset[Any], *more: Any) -> None:
    """Of rows in ``states`` each value of ``column`` has at most one: the database itself refuses a second."""
    _only_where(name, sa.and_(in_states(column.table.c.state, states), *more), column, unique=True)


# One telephone number is in the hands of at most one worker.
_one_each("uq_callback_number_held", callback.c.number, HELD)
# What workers look for all day, each as small as what is open, however many callbacks are over.
_only_where(
    "ix_callback_turn",
    in_states(callback.c.state, CLAIMABLE),
    callback.c.due_at,
    callback.c.created_at,
    callback.c.id,
)
# By the lease itself, which only those in hand have: were the condition their state, PostgreSQL might as well
# read all of them through the index of held numbers.
_only_where("ix_callback_lease_until", callback.c.lease_until.is_not(None), callback.c.lease_until)
_only_where("ix_callback_expires_at", in_states(callback.c.state, CLAIMABLE), callback.c.expires_at)
_only_where(
    "ix_callback_capturing", in_states(callback.c.state, {CallbackState.CAPTURING}), callback.c.updated_at
)

callback_consent = sa.Table(
    "callback_consent",
    metadata,
    sa.Column("callback_id", sa.ForeignKey("callback.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("given_at", Instant(), primary_key=True),
    sa.Column("key", sa.Text(), nullable=False),
    sa.Column("prompt_version", sa.Text(), nullable=False),
    _text("number"),
    _text("purpose"),
)

callback_history = sa.Table(
    "callback_history",
    metadata,
    sa.Column("key", sa.Text(), primary_key=True),
    sa.Column("callback_id", sa.ForeignKey("callback.id", ondelete="CASCADE"), nullable=False),
    sa.Column("at", Instant(), nullable=False),
    sa.Column("kind", sa.Text(), nullable=False),
    sa.Column("detail", Document, nullable=False),
    sa.Index("ix_callback_history_callback_id", "callback_id"),
)

do_not_call = sa.Table(
    "do_not_call",
    metadata,
    sa.Column("number", sa.Text(), primary_key=True),
    sa.Column("at", Instant(), nullable=False),
    _text("by"),
    _text("reason"),
)

attempt = sa.Table(
    "attempt",
    metadata,
    sa.Column("id", sa.Text(), primary_key=True),
    sa.Column("callback_id", sa.ForeignKey("callback.id", ondelete="CASCADE"), nullable=False),
    sa.Column("fence", sa.Integer(), nullable=False),
    sa.Column("number", sa.Text(), nullable=False),
    sa.Column("channel_id", sa.Text(), nullable=False, unique=True),
    _text("agent"),
    sa.Column("state", sa.Text(), nullable=False),
    sa.Column("started_at", Instant(), nullable=False),
    sa.Column("connected_at", Instant()),
    sa.Column("finished_at", Instant()),
    _text("detail"),
    sa.Index("ix_attempt_callback_id", "callback_id"),
    sa.Index("ix_attempt_started_at", "started_at"),
)
halt = sa.Table(
    "halt",
    metadata,
    sa.Column("key", sa.Text(), primary_key=True),
    sa.Column("at", Instant(), nullable=False),
    _text("by"),
    _text("reason"),
)
_one_each("uq_attempt_number_open", attempt.c.number, OPEN_ATTEMPT)
# A person talks to one customer at a time, however many dialers see him free (S4).
_one_each("uq_attempt_agent_open", attempt.c.agent, OPEN_ATTEMPT, attempt.c.agent != sa.literal_column("''"))

promise = sa.Table(
    "promise",
    metadata,
    sa.Column("callback_id", sa.ForeignKey("callback.id", ondelete="CASCADE"), primary_key=True),
    _text("department"),
    _text("made_by"),
    sa.Column("made_at", Instant(), nullable=False),
    sa.Column("due_at", Instant(), nullable=False),
    sa.Column("state", sa.Text(), nullable=False),
    sa.Column("moved", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("escalated_at", Instant()),
    sa.Column("rung_at", Instant()),
    sa.Column("settled_at", Instant()),
    sa.Column("revision", sa.Integer(), nullable=False, server_default="0"),
    sa.Index("ix_promise_state_due_at", "state", "due_at"),
)

conversation = sa.Table(
    "conversation",
    metadata,
    sa.Column("key", sa.Text(), primary_key=True),
    sa.Column("state", Document, nullable=False),
    sa.Column("updated_at", Instant(), nullable=False),
)

department = sa.Table(
    "department",
    metadata,
    sa.Column("slug", sa.Text(), primary_key=True),
    sa.Column("names", Document, nullable=False),
    _text("language"),
    _text("time_zone"),
    sa.Column("dids", Document, nullable=False),
    sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.true()),
)

agent = sa.Table(
    "agent",
    metadata,
    sa.Column("extension", sa.Text(), primary_key=True),
    sa.Column("names", Document, nullable=False),
    sa.Column("positions", Document, nullable=False),
    sa.Column("departments", Document, nullable=False),
    sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.true()),
)

prompt = sa.Table(
    "prompt",
    metadata,
    sa.Column("version", sa.Text(), primary_key=True),
    _text("kind"),
    _text("language"),
    _text("text"),
)

user = sa.Table(
    "user",
    metadata,
    sa.Column("name", sa.Text(), primary_key=True),
    _text("role"),
    sa.Column("created_at", Instant(), nullable=False),
    _text("extension"),
    sa.Column("departments", Document, nullable=False, server_default="[]"),
    _text("password_hash"),
    sa.Column("one_time", sa.Boolean(), nullable=False, server_default=sa.false()),
    _text("totp_secret"),
    sa.Column("totp_step", sa.BigInteger(), nullable=False, server_default="0"),
    sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.true()),
)

token = sa.Table(
    "token",
    metadata,
    sa.Column("id", sa.Text(), primary_key=True),
    sa.Column("user", sa.ForeignKey("user.name", ondelete="CASCADE"), nullable=False),
    _text("label"),
    sa.Column("token_hash", sa.Text(), nullable=False, unique=True),
    sa.Column("scopes", Document, nullable=False),
    sa.Column("created_at", Instant(), nullable=False),
    sa.Column("expires_at", Instant()),
    sa.Column("revoked_at", Instant()),
    sa.Index("ix_token_user", "user"),
)

session = sa.Table(
    "session",
    metadata,
    sa.Column("cookie_hash", sa.Text(), primary_key=True),
    sa.Column("id", sa.Text(), nullable=False, unique=True),
    sa.Column("user", sa.ForeignKey("user.name", ondelete="CASCADE"), nullable=False),
    sa.Column("created_at", Instant(), nullable=False),
    sa.Column("expires_at", Instant(), nullable=False),
    _text("address"),
    _text("browser"),
    sa.Index("ix_session_user", "user"),
)

answered_request = sa.Table(
    "answered_request",
    metadata,
    sa.Column("key", sa.Text(), primary_key=True),
    _text("fingerprint"),
    sa.Column("at", Instant(), nullable=False),
    sa.Column("status", sa.Integer()),
    _text("body"),
    sa.Index("ix_answered_request_at", "at"),
)

heartbeat = sa.Table(
    "heartbeat",
    metadata,
    sa.Column("service", sa.Text(), primary_key=True),
    sa.Column("node", sa.Text(), primary_key=True),
    sa.Column("at", Instant(), nullable=False),
    sa.Column("detail", Document, nullable=False),
)

audit_entry = sa.Table(
    "audit_entry",
    metadata,
    sa.Column("key", sa.Text(), primary_key=True),
    sa.Column("at", Instant(), nullable=False),
    _text("actor"),
    _text("action"),
    _text("subject"),
    sa.Column("detail", Document, nullable=False),
    sa.Index("ix_audit_entry_at", "at"),
)

change = sa.Table(
    "change",
    metadata,
    sa.Column("seq", Sequence, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.Text(), nullable=False),
    sa.Column("subject", sa.Text(), nullable=False),
    sa.Column("at", Instant(), nullable=False),
    sqlite_autoincrement=True,  # a pruned number is never given out again
)

webhook = sa.Table(
    "webhook",
    metadata,
    sa.Column("id", sa.Text(), primary_key=True),
    sa.Column("url", sa.Text(), nullable=False),
    sa.Column("kinds", Document, nullable=False),
    sa.Column("secret", sa.Text(), nullable=False),
    _text("created_by"),
    sa.Column("created_at", Instant(), nullable=False),
    sa.Column("after", sa.BigInteger(), nullable=False),
    sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.true()),
)

delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("webhook", sa.ForeignKey("webhook.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text(), nullable=False),
    _text("subject"),
    sa.Column("at", Instant(), nullable=False),
    sa.Column("state", sa.Text(), nullable=False),
    sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("due_at", Instant(), nullable=False),
    sa.Column("status", sa.Integer()),
    _text("fault"),
    sa.Index("ix_delivery_state_due_at", "state", "due_at"),
)
