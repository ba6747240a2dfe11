"""Which phone each leg was, so that an agent's own calls are found; answers kept by idempotency key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_sight"
down_revision = "0004_promises"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add, and fill from the records that are there."""
    op.add_column("leg", sa.Column("extension", sa.Text(), server_default="", nullable=False))
    postgres = op.get_bind().dialect.name == "postgresql"
    of_record = "record->>'extension'" if postgres else "json_extract(record, '$.extension')"
    op.execute(f"UPDATE leg SET extension = COALESCE({of_record}, '')")  # noqa: S608 - one of two constants
    op.create_index("ix_leg_extension", "leg", ["extension"])
    op.create_table(
        "answered_request",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_answered_request"),
    )
    op.create_index("ix_answered_request_at", "answered_request", ["at"])
