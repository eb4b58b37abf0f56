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
    false,
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

# Who called for a certificate of the vPKI and for what; gone where the certificate became void. A request that has a
# name is answered again from here. Earlier certificates of the same name are superseded once it is due, and settled.
registrations = Table(
    "registrations",
    metadata,
    Column("certificate", Number, ForeignKey("certificates.number"), primary_key=True),
    Column("caller", String(64), nullable=False),
    Column("request", String(255)),
    Column("digest", LargeBinary, nullable=False),
    Column("unit", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("vehicle", Text, nullable=False),
    Column("local", Text, nullable=False),
    Column("brand", Text, nullable=False),
    Column("due", BigInteger),
    UniqueConstraint("caller", "request"),
)
Index(
    "ix_registrations_due",
    registrations.c.due,
    sqlite_where=text("due IS NOT NULL"),
    postgresql_where=text("due IS NOT NULL"),
)

# The pool of contracts: the key of each, sealed to a car's; gone where the contract's certificate became void. Older
# certificates of the contract are superseded by one that was delivered; of several contracts of -20, the session is the
# one that was last served. What nothing hangs on is not written down.
packages = Table(
    "packages",
    metadata,
    Column("certificate", Number, ForeignKey("certificates.number"), primary_key=True),
    Column("emaid", Text, nullable=False),
    Column("holder", LargeBinary, nullable=False),
    Column("receiver", LargeBinary, nullable=False, index=True),
    Column("public", LargeBinary, nullable=False),
    Column("encrypted", LargeBinary, nullable=False),
    Column("supersedes", Boolean, nullable=False),
    Column("delivered", BigInteger),
    Column("session", LargeBinary),
    # What the lab gets wrong in it on purpose.
    Column("fault", Text, nullable=False, server_default=""),
)
Index(
    "ix_packages_supersedes",
    packages.c.supersedes,
    sqlite_where=text("supersedes AND delivered IS NOT NULL"),
    postgresql_where=text("supersedes AND delivered IS NOT NULL"),
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

# Charging stations that may connect over OCPP. The secrets are salted hashes; the next one, and the next profile, are
# those that the station was told of and has not come back with yet. Lists and objects are JSON.
stations = Table(
    "stations",
    metadata,
    Column("identity", String(48), primary_key=True),
    Column("serial_number", Text, nullable=False),
    Column("organization", Text, nullable=False),
    Column("secc_ids", Text, nullable=False),
    Column("profile", Integer, nullable=False),
    Column("next_profile", Integer),
    Column("secret", LargeBinary),
    Column("next_secret", LargeBinary),
    Column("expired_allowed", Boolean, nullable=False),
    Column("longest_chain", Integer, nullable=False),
    Column("most_certificates", Integer),
    Column("about", Text, nullable=False),
    Column("seen", BigInteger),
)

# What stations asked to have signed; a key is asked for once, however often the request comes.
signings = Table(
    "signings",
    metadata,
    Column("number", Number, primary_key=True),
    Column("station", String(48), ForeignKey("stations.identity"), nullable=False),
    Column("kind", String(32), nullable=False),
    # The type as the station named it, which may be nothing.
    Column("named", String(32), nullable=False),
    Column("request", BigInteger),
    Column("key", LargeBinary, nullable=False, unique=True),
    Column("csr", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("certificate", Number, ForeignKey("certificates.number")),
    Column("sent", Integer, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("why", Text, nullable=False),
)
Index("ix_signings_station_state", signings.c.station, signings.c.state)

# What operators have stations do; the deadline is when a promise counts as broken. One of a job has the job's detail.
# The holder is the process that is doing it; a patient one waits for a station that is away.
operations = Table(
    "operations",
    metadata,
    Column("number", Number, primary_key=True),
    Column("station", String(48), ForeignKey("stations.identity"), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("deadline", BigInteger),
    Column("outcome", Text, nullable=False),
    Column("job", BigInteger),
    Column("holder", BigInteger),
    Column("patient", Boolean, nullable=False, server_default=false()),
)
Index("ix_operations_station_state", operations.c.station, operations.c.state)
Index("ix_operations_job_state", operations.c.job, operations.c.state)
Index("ix_operations_state_number", operations.c.state, operations.c.number)

# One operation on many stations, of which so many are done at once.
jobs = Table(
    "jobs",
    metadata,
    Column("number", Number, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at_once", Integer, nullable=False),
    Column("made", BigInteger, nullable=False),
)

# Processes that serve stations, each under a number that is never another's: one that does not renew it is gone.
processes = Table(
    "processes",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
)

# The newest connection of each station; without a holder it has been gone since then. A station may be removed while
# it is connected, so this refers to nothing.
connections = Table(
    "connections",
    metadata,
    Column("station", String(48), primary_key=True),
    Column("holder", BigInteger, index=True),
    Column("profile", Integer, nullable=False),
    Column("version", String(16), nullable=False),
    Column("since", BigInteger, nullable=False),
)

# Who may call the operators' API: a digest of each token.
operators = Table(
    "operators",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("may_change", Boolean, nullable=False),
    Column("made", BigInteger, nullable=False),
)

# The certificates in each station as last read, by type and as the station wrote them.
inventories = Table(
    "inventories",
    metadata,
    Column("station", String(48), ForeignKey("stations.identity"), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("content", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

# Who may charge, beside the contracts of this ledger.
tokens = Table(
    "tokens",
    metadata,
    Column("token", String(255), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("status", String(24), nullable=False),
)
