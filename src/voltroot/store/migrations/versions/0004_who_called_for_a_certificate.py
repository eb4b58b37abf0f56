"""Who called for a certificate of the vPKI, and under what name of the request. Online: it only adds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the table, empty."""
    op.create_table(
        "registrations",
        sa.Column("certificate", Number, nullable=False),
        sa.Column("caller", sa.String(length=64), nullable=False),
        sa.Column("request", sa.String(length=255), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("vehicle", sa.Text(), nullable=False),
        sa.Column("local", sa.Text(), nullable=False),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["certificate"], ["certificates.number"], name=op.f("fk_registrations_certificate")),
        sa.PrimaryKeyConstraint("certificate", name=op.f("pk_registrations")),
        sa.UniqueConstraint("caller", "request", name=op.f("uq_registrations_caller_request")),
    )
    op.create_index(
        "ix_registrations_due",
        "registrations",
        ["due"],
        unique=False,
        sqlite_where=sa.text("due IS NOT NULL"),
        postgresql_where=sa.text("due IS NOT NULL"),
    )
