"""Claims find the next callback without reading all of them; one open attempt per agent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_turns"
down_revision = "0002_accounts"
branch_labels = None
depends_on = None

_CLAIMABLE = sa.text("state IN ('partial', 'queued')")
_LEASED = sa.text("lease_until IS NOT NULL")
_CAPTURING = sa.text("state IN ('capturing')")
_OPEN = sa.text("state IN ('dialing', 'talking') AND agent != ''")


def upgrade() -> None:
    """Indexes only, but for agents with two open attempts: all of theirs but the newest are in doubt."""
    op.drop_index("ix_callback_state_due_at", table_name="callback")
    op.create_index("ix_callback_state", "callback", ["state"], unique=False)
    op.create_index("ix_callback_number", "callback", ["number"], unique=False)
    _only_where("ix_callback_turn", "callback", ["due_at", "created_at", "id"], _CLAIMABLE)
    _only_where("ix_callback_expires_at", "callback", ["expires_at"], _CLAIMABLE)
    _only_where("ix_callback_lease_until", "callback", ["lease_until"], _LEASED)
    _only_where("ix_callback_capturing", "callback", ["updated_at"], _CAPTURING)
    op.execute(
        "UPDATE attempt SET state = 'unknown' WHERE state IN ('dialing', 'talking') AND agent != '' AND EXISTS ("
        "SELECT 1 FROM attempt AS newer WHERE newer.agent = attempt.agent AND newer.state IN ('dialing', 'talking')"
        " AND (newer.started_at > attempt.started_at"
        " OR (newer.started_at = attempt.started_at AND newer.id > attempt.id)))"
    )
    _only_where("uq_attempt_agent_open", "attempt", ["agent"], _OPEN, unique=True)


def _only_where(
    name: str, table: str, columns: list[str], where: sa.TextClause, unique: bool = False
) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)
