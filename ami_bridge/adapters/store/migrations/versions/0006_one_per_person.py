"""One open callback per person: when it suits, where it came from, what it became part of; do-not-call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006_one_per_person"
down_revision = "0005_sight"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Add the columns and the two tables."""
    op.add_column("callback", sa.Column("suits_until", _INSTANT))
    op.add_column("callback", sa.Column("time_zone", sa.Text(), server_default="", nullable=False))
    op.add_column("callback", sa.Column("origin", sa.Text(), server_default="", nullable=False))
    op.add_column("callback", sa.Column("merged_into", sa.Text()))
    op.create_index("ix_callback_number_created_at", "callback", ["number", "created_at"], unique=False)
    op.create_table(
        "callback_history",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("callback_id", sa.Text(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("detail", _DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["callback_id"],
            ["callback.id"],
            name=op.f("fk_callback_history_callback_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_callback_history")),
    )
    op.create_index("ix_callback_history_callback_id", "callback_history", ["callback_id"], unique=False)
    op.create_table(
        "do_not_call",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_do_not_call")),
    )
