"""Callbacks that are kept for one agent; the switch that stops outgoing calls; attempts by when they began."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009_outgoing"
down_revision = "0008_marks_and_agreements"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add all three."""
    op.add_column("callback", sa.Column("assigned_to", sa.Text(), server_default="", nullable=False))
    op.create_index("ix_attempt_started_at", "attempt", ["started_at"])
    op.create_table(
        "halt",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_halt"),
    )
