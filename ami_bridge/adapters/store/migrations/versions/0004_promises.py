"""The promise ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_promises"
down_revision = "0003_turns"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Callbacks that are open get their promise from the first look of a dialer."""
    op.create_table(
        "promise",
        sa.Column("callback_id", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), server_default="", nullable=False),
        sa.Column("made_by", sa.Text(), server_default="", nullable=False),
        sa.Column("made_at", _INSTANT, nullable=False),
        sa.Column("due_at", _INSTANT, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("moved", sa.Integer(), server_default="0", nullable=False),
        sa.Column("escalated_at", _INSTANT, nullable=True),
        sa.Column("rung_at", _INSTANT, nullable=True),
        sa.Column("settled_at", _INSTANT, nullable=True),
        sa.Column("revision", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["callback_id"], ["callback.id"], name=op.f("fk_promise_callback_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("callback_id", name=op.f("pk_promise")),
    )
    op.create_index("ix_promise_state_due_at", "promise", ["state", "due_at"], unique=False)
