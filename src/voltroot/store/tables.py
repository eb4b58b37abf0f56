"""The tables of the ledger; moments are whole seconds since 1970, so that both dialects compare them alike."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite numbers rows by itself only where the column is of type INTEGER.
Number = BigInteger().with_variant(Integer, "sqlite")

certificates = Table(
    "certificates",
    metadata,
    Column("number", Number, primary_key=True),
    Column("issuer", Number, ForeignKey("certificates.number")),
    Column("serial", LargeBinary, nullable=False),
    Column("profile", String(32), nullable=False),
    Column("state", String(8), nullable=False),
    Column("name", Text),
    Column("subject", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("end_entity", Boolean, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("lease", BigInteger),
    # The octets to be signed while reserved or void, the whole certificate afterwards.
    Column("content", LargeBinary, nullable=False),
    Column("revoked_at", BigInteger),
    Column("reason", Integer),
    UniqueConstraint("issuer", "serial"),
)
Index(
    "uq_certificates_key",
    certificates.c.key,
    unique=True,
    sqlite_where=text("end_entity AND state <> 'void'"),
    postgresql_where=text("end_entity AND state <> 'void'"),
)
Index(
    "ix_certificates_lease",
    certificates.c.lease,
    sqlite_where=text("state = 'reserved'"),
    postgresql_where=text("state = 'reserved'"),
)
Index("ix_certificates_name", certificates.c.name, certificates.c.profile)
Index("ix_certificates_subject", certificates.c.subject)
Index("ix_certificates_serial", certificates.c.serial)

# Who holds a name: one row for each name ever held, so that taking it is a single upsert. The holder is the serial
# number of the certificate that took it.
holdings = Table(
    "holdings",
    metadata,
    Column("profile", String(32), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("until", BigInteger, nullable=False),
    Column("holder", LargeBinary, nullable=False, index=True),
)

escrow = Table(
    "escrow",
    metadata,
    Column("certificate", Number, ForeignKey("certificates.number"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

revocations = Table(
    "revocations",
    metadata,
    Column("number", Number, primary_key=True),
    Column("certificate", Number, ForeignKey("certificates.number"), nullable=False, unique=True),
    Column("issuer", Number, ForeignKey("certificates.number"), nullable=False, index=True),
    Column("serial", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("reason", Integer, nullable=False),
)

credentials = Table(
    "credentials",
    metadata,
    Column("certificate", Number, ForeignKey("certificates.number"), primary_key=True),
    Column("use", String(16), nullable=False),
    Column("label", String(64), nullable=False),
    Column("slug", String(80), nullable=False, unique=True),
    Column("key", String(128)),
)

# The revision: raised by each revocation and each new credential, in their transaction.
counters = Table(
    "counters",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("number", Number, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("event", String(32), nullable=False),
    Column("certificate", Number, ForeignKey("certificates.number")),
    Column("door", String(32), nullable=False),
    Column("by", Text, nullable=False),
    Column("detail", Text, nullable=False),
)

# The Merkle log over the audit rows: entries are numbered from 0 without gaps, in the order of their appending.
log_entries = Table(
    "log_entries",
    metadata,
    Column("sequence", Number, primary_key=True, autoincrement=False),
    Column("audit", Number, ForeignKey("audit.number"), nullable=False, unique=True),
    Column("leaf", LargeBinary, nullable=False),
)

# Its signed roots. The frontier is what the next entries are appended to: the roots of the perfect subtrees.
log_checkpoints = Table(
    "log_checkpoints",
    metadata,
    Column("size", Number, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("origin", String(64), nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
)
