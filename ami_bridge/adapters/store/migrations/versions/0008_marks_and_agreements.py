"""What people did at the desk about a call, and what agents promised in their notes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008_marks_and_agreements"
down_revision = "0007_webhooks"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def upgrade() -> None:
    """Create both."""
    op.create_table(
        "call_mark",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        _text("by"),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("detail", _DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_call_mark"),
    )
    op.create_index("ix_call_mark_call_id", "call_mark", ["call_id"])
    op.create_index("ix_call_mark_kind_at", "call_mark", ["kind", "at"])
    op.create_table(
        "agreement",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        *(_text(name) for name in ("department", "number", "name", "subject", "place")),
        sa.Column("due_at", _INSTANT, nullable=False),
        _text("made_by"),
        sa.Column("made_at", _INSTANT, nullable=False),
        _text("confirm"),
        sa.Column("state", sa.Text(), nullable=False),
        _text("settled_by"),
        sa.Column("settled_at", _INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name="fk_agreement_call_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call_id", name="pk_agreement"),
    )
    op.create_index("ix_agreement_due_at", "agreement", ["due_at"])
    op.create_index("ix_agreement_agent_due_at", "agreement", ["agent", "due_at"])
