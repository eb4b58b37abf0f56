"""A Merkle log over the audit rows, and its signed checkpoints. Online: it only adds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add both, empty: the rows that are there already are appended by the first backend that runs."""
    op.create_table(
        "log_entries",
        sa.Column("sequence", Number, nullable=False, autoincrement=False),
        sa.Column("audit", Number, nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["audit"], ["audit.number"], name=op.f("fk_log_entries_audit")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_log_entries")),
        sa.UniqueConstraint("audit", name=op.f("uq_log_entries_audit")),
    )
    op.create_table(
        "log_checkpoints",
        sa.Column("size", Number, nullable=False, autoincrement=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_log_checkpoints")),
    )
