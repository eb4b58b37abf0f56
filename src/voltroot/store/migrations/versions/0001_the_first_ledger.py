"""The first ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "certificates",
        sa.Column("number", Number, nullable=False),
        sa.Column("issuer", Number, nullable=True),
        sa.Column("serial", sa.LargeBinary(), nullable=False),
        sa.Column("profile", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("end_entity", sa.Boolean(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("lease", sa.BigInteger(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["issuer"], ["certificates.number"], name=op.f("fk_certificates_issuer")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_certificates")),
        sa.UniqueConstraint("issuer", "serial", name=op.f("uq_certificates_issuer_serial")),
    )
    op.create_index(
        "ix_certificates_lease",
        "certificates",
        ["lease"],
        unique=False,
        sqlite_where=sa.text("state = 'reserved'"),
        postgresql_where=sa.text("state = 'reserved'"),
    )
    op.create_index("ix_certificates_name", "certificates", ["name", "profile"], unique=False)
    op.create_index("ix_certificates_serial", "certificates", ["serial"], unique=False)
    op.create_index("ix_certificates_subject", "certificates", ["subject"], unique=False)
    op.create_index(
        "uq_certificates_key",
        "certificates",
        ["key"],
        unique=True,
        sqlite_where=sa.text("end_entity AND state <> 'void'"),
        postgresql_where=sa.text("end_entity AND state <> 'void'"),
    )

    op.create_table(
        "holdings",
        sa.Column("profile", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("profile", "name", name=op.f("pk_holdings")),
    )
    op.create_index("ix_holdings_holder", "holdings", ["holder"], unique=False)
    op.create_table(
        "audit",
        sa.Column("number", Number, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("certificate", Number, nullable=True),
        sa.Column("door", sa.String(length=32), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["certificate"], ["certificates.number"], name=op.f("fk_audit_certificate")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit")),
    )
    op.create_table(
        "credentials",
        sa.Column("certificate", Number, nullable=False),
        sa.Column("use", sa.String(length=16), nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("slug", sa.String(length=80), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=True),
        sa.ForeignKeyConstraint(["certificate"], ["certificates.number"], name=op.f("fk_credentials_certificate")),
        sa.PrimaryKeyConstraint("certificate", name=op.f("pk_credentials")),
        sa.UniqueConstraint("slug", name=op.f("uq_credentials_slug")),
    )
    op.create_table(
        "escrow",
        sa.Column("certificate", Number, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["certificate"], ["certificates.number"], name=op.f("fk_escrow_certificate")),
        sa.PrimaryKeyConstraint("certificate", name=op.f("pk_escrow")),
    )
    op.create_table(
        "revocations",
        sa.Column("number", Number, nullable=False),
        sa.Column("certificate", Number, nullable=False),
        sa.Column("issuer", Number, nullable=False),
        sa.Column("serial", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["certificate"], ["certificates.number"], name=op.f("fk_revocations_certificate")),
        sa.ForeignKeyConstraint(["issuer"], ["certificates.number"], name=op.f("fk_revocations_issuer")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_revocations")),
        sa.UniqueConstraint("certificate", name=op.f("uq_revocations_certificate")),
    )
    op.create_index("ix_revocations_issuer", "revocations", ["issuer"], unique=False)
