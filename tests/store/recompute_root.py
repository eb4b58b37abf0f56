"""Recompute the root of the audit log from a ledger file, knowing RFC 9162 and what a leaf is, and nothing else.

    python recompute_root.py data/ledger.db [SIZE]

prints how many entries the log has and its root over the first SIZE of them. Nothing of Voltroot is used.
"""

import hashlib
import sqlite3
import sys

ROWS = """
    SELECT a.event, c.state, c.content, json_array(
        'voltroot audit 1', a.number, a.at, a.event, a.certificate, a.door, a."by", a.detail,
        c.issuer, c.profile, c.name, c.subject, c.end_entity, c.not_before, c.not_after,
        lower(hex(c.serial)), lower(hex(c.key))),
        CASE a.event WHEN 'certificate.revoked' THEN json_array(c.revoked_at, c.reason)
                     WHEN 'credential.added' THEN json_array(k.use, k.label, k.slug, k.key) END
    FROM log_entries l JOIN audit a ON a.number = l.audit
    LEFT JOIN certificates c ON c.number = a.certificate LEFT JOIN credentials k ON k.certificate = a.certificate
    ORDER BY l.sequence"""


def to_be_signed(certificate):
    """The first element inside the SEQUENCE that a certificate is (X.690 8.1)."""

    def content(start):
        size = certificate[start + 1]
        many = size & 0x7F if size & 0x80 else 0
        head = start + 2 + many
        return head, head + int.from_bytes(certificate[start + 2 : head], "big") if many else head + size

    start = content(0)[0]
    return certificate[start : content(start)[1]]


def leaf(event, state, content, row, facts):
    """What is hashed: a JSON array of the audit row, its certificate's, and what the event says of it for ever."""
    if event == "certificate.reserved":
        octets = content if state in ("reserved", "void") else to_be_signed(content)
        facts = f'["{hashlib.sha256(octets).hexdigest()}"]'
    elif event in ("certificate.issued", "certificate.taken_in"):
        facts = f'["{hashlib.sha256(content).hexdigest()}"]'
    return (row[:-1] + "," + facts[1:] if facts else row).encode()


def root(leaves):
    """RFC 9162 2.1.1."""
    if len(leaves) < 2:
        return hashlib.sha256(b"\x00" + leaves[0] if leaves else b"").digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root(leaves[:half]) + root(leaves[half:])).digest()


if __name__ == "__main__":
    rows = sqlite3.connect(sys.argv[1]).execute(ROWS).fetchall()
    leaves = [leaf(*row) for row in rows]
    print(len(leaves), root(leaves[: int(sys.argv[2])] if sys.argv[2:] else leaves).hex())
