"""The pool of contracts: keys sealed to cars, beside the certificates they belong to. Online: it only adds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the table, empty."""
    op.create_table(
        "packages",
        sa.Column("certificate", Number, nullable=False),
        sa.Column("emaid", sa.Text(), nullable=False),
        sa.Column("holder", sa.LargeBinary(), nullable=False),
        sa.Column("receiver", sa.LargeBinary(), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("supersedes", sa.Boolean(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=True),
        sa.Column("session", sa.LargeBinary(), nullable=True),
        sa.Column("fault", sa.Text(), nullable=False, server_default=""),
        sa.ForeignKeyConstraint(["certificate"], ["certificates.number"], name=op.f("fk_packages_certificate")),
        sa.PrimaryKeyConstraint("certificate", name=op.f("pk_packages")),
    )
    op.create_index("ix_packages_receiver", "packages", ["receiver"], unique=False)
    op.create_index(
        "ix_packages_supersedes",
        "packages",
        ["supersedes"],
        unique=False,
        sqlite_where=sa.text("supersedes AND delivered IS NOT NULL"),
        postgresql_where=sa.text("supersedes AND delivered IS NOT NULL"),
    )
