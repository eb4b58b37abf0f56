"""Which process holds a station, and jobs of operators on many of them. Online: it only adds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables, empty, and what operations have in common with them."""
    op.create_table(
        "processes",
        sa.Column("number", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_processes")),
    )
    op.create_table(
        "connections",
        sa.Column("station", sa.String(48), nullable=False),
        sa.Column("holder", sa.BigInteger(), nullable=True),
        sa.Column("profile", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("station", name=op.f("pk_connections")),
    )
    op.create_index(op.f("ix_connections_holder"), "connections", ["holder"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("number", Number, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at_once", sa.Integer(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_jobs")),
    )
    op.create_table(
        "operators",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("may_change", sa.Boolean(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_operators")),
        sa.UniqueConstraint("digest", name=op.f("uq_operators_digest")),
    )
    op.add_column("operations", sa.Column("job", sa.BigInteger(), nullable=True))
    op.add_column("operations", sa.Column("holder", sa.BigInteger(), nullable=True))
    op.add_column("operations", sa.Column("patient", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_operations_job_state", "operations", ["job", "state"], unique=False)
    op.create_index("ix_operations_state_number", "operations", ["state", "number"], unique=False)
