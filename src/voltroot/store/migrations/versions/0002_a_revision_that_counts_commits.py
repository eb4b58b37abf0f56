"""A revision that counts commits: its row is locked until the change is there, so no reader can overtake one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the counter, with one row that begins where the revocations are."""
    counters = op.create_table(
        "counters",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    most = op.get_bind().execute(sa.text("SELECT max(number) FROM revocations")).scalar()
    op.bulk_insert(counters, [{"name": "revision", "value": (most or 0) + 1}])
