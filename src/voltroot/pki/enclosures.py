"""What a contract's certificate brings with it into the record: its private key, sealed to a car's key."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Enclosure:
    """A contract's sealed key, written down in the transaction that reserves the contract's certificate.

    ``holder`` is the car's certificate, in DER, and ``receiver`` the hash of its SubjectPublicKeyInfo: by it the car
    asks. ``public`` and ``encrypted`` are what the car needs to open the key. Once a package that ``supersedes`` has
    been handed out, older certificates of the contract are revoked; ``delivered`` says that this is so from the first.
    ``fault`` is what the lab gets wrong on purpose whenever it hands the contract out.
    """

    emaid: str
    holder: bytes = field(repr=False)
    receiver: bytes = field(repr=False)
    public: bytes = field(repr=False)
    encrypted: bytes = field(repr=False)
    supersedes: bool = False
    delivered: bool = False
    fault: str = ""
