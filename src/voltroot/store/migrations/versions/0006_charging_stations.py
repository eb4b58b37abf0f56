"""Charging stations over OCPP: the registry, what they asked to have signed, what they hold. Online: it only adds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables, empty."""
    op.create_table(
        "stations",
        sa.Column("identity", sa.String(48), nullable=False),
        sa.Column("serial_number", sa.Text(), nullable=False),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("secc_ids", sa.Text(), nullable=False),
        sa.Column("profile", sa.Integer(), nullable=False),
        sa.Column("next_profile", sa.Integer(), nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("next_secret", sa.LargeBinary(), nullable=True),
        sa.Column("expired_allowed", sa.Boolean(), nullable=False),
        sa.Column("longest_chain", sa.Integer(), nullable=False),
        sa.Column("most_certificates", sa.Integer(), nullable=True),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("identity", name=op.f("pk_stations")),
    )
    op.create_table(
        "signings",
        sa.Column("number", Number, nullable=False),
        sa.Column("station", sa.String(48), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("named", sa.String(32), nullable=False),
        sa.Column("request", sa.BigInteger(), nullable=True),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("csr", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("certificate", Number, nullable=True),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["station"], ["stations.identity"], name=op.f("fk_signings_station")),
        sa.ForeignKeyConstraint(["certificate"], ["certificates.number"], name=op.f("fk_signings_certificate")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_signings")),
        sa.UniqueConstraint("key", name=op.f("uq_signings_key")),
    )
    op.create_index("ix_signings_station_state", "signings", ["station", "state"], unique=False)
    op.create_table(
        "operations",
        sa.Column("number", Number, nullable=False),
        sa.Column("station", sa.String(48), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["station"], ["stations.identity"], name=op.f("fk_operations_station")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_operations")),
    )
    op.create_index("ix_operations_station_state", "operations", ["station", "state"], unique=False)
    op.create_table(
        "inventories",
        sa.Column("station", sa.String(48), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["station"], ["stations.identity"], name=op.f("fk_inventories_station")),
        sa.PrimaryKeyConstraint("station", "kind", name=op.f("pk_inventories")),
    )
    op.create_table(
        "tokens",
        sa.Column("token", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("status", sa.String(24), nullable=False),
        sa.PrimaryKeyConstraint("token", "kind", name=op.f("pk_tokens")),
    )
