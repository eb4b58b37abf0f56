"""The configuration of a backend: one TOML file, every member with a default, nothing unknown accepted."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from voltroot.decoding import UNREADABLE, why
from voltroot.errors import Malformed, Refused
from voltroot.pki.profiles import profiles
from voltroot.pki.vpki import CCU_POLICY, POLICY

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
Country = Annotated[str, Meta(pattern="^[A-Za-z]{2}$")]
Line = Annotated[str, Meta(min_length=1, max_length=64)]
Address = Annotated[str, Meta(pattern="^[ -~]*$", max_length=200)]


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file."""


class Serve(Section, frozen=True):
    """Where the backend listens. ``base`` is the public address that certificates name for CRLs and OCSP.

    The operators' API of the CSMS has an address of its own, which is the loopback's unless another is given: there it
    has TLS and wants tokens. It is there where stations are served, unless its port is 0.
    """

    host: str = "127.0.0.1"
    port: Port = 15118
    tls_port: Port = 15119
    vpki_port: Port = 15120
    operators_host: str = "127.0.0.1"
    operators_port: Port = 15121
    tls_hosts: tuple[str, ...] = ("localhost", "127.0.0.1")
    processes: Annotated[int, Meta(ge=1, le=64)] = 1
    base: Annotated[str, Meta(pattern="^(https?://[!-~]+)?$", max_length=160)] = ""


class Ledger(Section, frozen=True):
    """Where the records are: a file in the data folder, or PostgreSQL at ``url``; the file holds its password."""

    url: Annotated[str, Meta(pattern="^(postgresql://.*)?$")] = ""
    password_file: str = ""


class Subject(Section, frozen=True):
    """What stands in the subject of every SECC and OEM provisioning certificate."""

    organization: Line = "Voltroot Test"
    organizational_unit: Line = "Voltroot"
    country: Country = "DE"


class Ca(Section, frozen=True):
    """The subjects of the CAs that the ceremony makes; ``names`` gives a common name to a CA by its label."""

    organization: Line = "Voltroot Test"
    country: Country = "DE"
    names: dict[str, Line] = field(default_factory=dict)


class Profiles(Section, frozen=True):
    """How certificates are made. ``days`` overrides the validity of a profile by its name."""

    iso15118_20: Literal["amendment1", "2022"] = "amendment1"
    backdate_minutes: Annotated[int, Meta(ge=0, le=60)] = 5
    days: dict[str, Positive] = field(default_factory=dict)


class Pnc(Section, frozen=True):
    """The Secondary Actor API. The file holds the password of ``pfxCert``; without one it is the manual's 123123."""

    pfx_password_file: str = ""


class Contract(Section, frozen=True):
    """Contracts for cars. ``version`` is what the Secondary Actor API calls the version of its V2G messages.

    ``strict_emaid`` takes EMAIDs as ISO 15118 writes them and no others. ``revoke`` is when a renewal supersedes the
    old certificate: as soon as the car has fetched it, or at once. ``retry_counter`` is told to cars for which no
    renewal is ready, in days, -1 for never. ``revoked_code`` is what paymentDetail calls a revoked certificate.
    ``short_key_identifier`` gives contract certificates of -20 a subjectKeyIdentifier of 8 octets.
    """

    version: Line = "penta-v2g-0.1"
    strict_emaid: bool = False
    revoke: Literal["when-delivered", "at-once"] = "when-delivered"
    retry_counter: Annotated[int, Meta(ge=-1, le=32767)] = 1
    revoked_code: Literal["FAILED_CertChainError", "FAILED_CertificateRevoked"] = "FAILED_CertChainError"
    short_key_identifier: bool = True


class Trust(Section, frozen=True):
    """Whom the contract calls trust beside the CAs of this backend: files in PEM.

    ``oem``, ``mo`` and ``v2g`` are roots of these roles, ``sub_cas`` CAs below any of them, ``crls`` their CRLs.
    """

    oem: tuple[str, ...] = ()
    mo: tuple[str, ...] = ()
    v2g: tuple[str, ...] = ()
    sub_cas: tuple[str, ...] = ()
    crls: tuple[str, ...] = ()


class Caller(Section, frozen=True):
    """A server that may call the vPKI API, known by its network, its client certificate, or both.

    ``certificates`` are names in the certificate or sha256:FINGERPRINT. Without ``products`` or ``tiers`` it may ask
    for all; ``rate`` is in requests a second, 0 for no limit.
    """

    name: Line
    networks: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    products: tuple[Literal["v1/prov", "v2/prov", "v2/vehicle", "v1/est", "v2/est"], ...] = ()
    tiers: tuple[Line, ...] = ()
    rate: Annotated[float, Meta(ge=0)] = 0


class Vpki(Section, frozen=True):
    """The vPKI API of a car maker, on serve.vpki_port. Without callers it is there on the loopback, without TLS.

    Its server certificate is Voltroot's own unless ``certificate`` and ``key`` name files; ``tls`` false leaves TLS to
    a proxy, whose network ``proxies`` names. ``client_ca`` has the CAs of client certificates, ``client_crls`` their
    CRLs. ``crl``, ``ocsp`` and ``ca`` are addresses with {ca} and {shard} in them; "" is ours. ``zone`` is where days
    end: an offset, or a name of the time zone database. ``ca_names`` gives CAs their names by their labels.
    """

    enabled: bool = True
    tls: bool = True
    certificate: str = ""
    key: str = ""
    key_passphrase_file: str = ""
    client_ca: str = ""
    client_crls: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    callers: tuple[Caller, ...] = ()
    overlap_hours: Annotated[float, Meta(ge=0, le=8760)] = 0
    organization: Line = "HKMC"
    unit: Line = "ECC"
    country: Country = "KR"
    zone: str = "+09:00"
    policy: str = POLICY.oid
    ccu_policy: str = CCU_POLICY.oid
    ccu_notice: Address = CCU_POLICY.notice
    ccu_cps: Address = CCU_POLICY.cps
    crl: Address = ""
    ocsp: Address = ""
    ca: Address = ""
    ca_names: dict[str, str] = field(default_factory=dict)


class Csms(Section, frozen=True):
    """Charging stations over OCPP: a port for each security profile, 0 for none.

    ``hosts`` are the names in the CSMS's certificates, those of serve.tls_hosts unless given. ``client_cas`` are
    manufacturers' CAs whose certificates stations may come with at first, ``client_crls`` their CRLs. OCSP and CRLs are
    fetched from public addresses and from ``fetch_networks``. A token that nobody knows is ``unknown_tokens``. ``ccp``
    is the address of another's contract pool (its Secondary Actor API), ``ccp_roots`` the file of its TLS roots.
    """

    profile_1_port: Port = 0
    profile_2_port: Port = 0
    profile_3_port: Port = 0
    hosts: tuple[str, ...] = ()
    heartbeat_seconds: Positive = 300
    client_cas: tuple[str, ...] = ()
    client_crls: tuple[str, ...] = ()
    fetch_networks: tuple[str, ...] = ()
    unknown_tokens: Literal["Accepted", "Blocked", "Expired", "Invalid", "Unknown"] = "Unknown"
    roots_over_profile_1: bool = False
    ccp: Annotated[str, Meta(pattern="^(https?://[!-~]+)?$", max_length=200)] = ""
    ccp_roots: str = ""


class Keys(Section, frozen=True):
    """Where private keys live: in files of the data folder, or in a ``device``, a PKCS#11 token or a TPM.

    The one file holds the device's PIN, which may stand in the environment's VOLTROOT_PIN instead; the other holds the
    passphrase that encrypts keys in files. Without one only the folder's permissions protect them.
    """

    device: str = ""
    pin_file: str = ""
    passphrase_file: str = ""


class Publish(Section, frozen=True):
    """How long CRLs and OCSP answers hold, and in how many parts a CRL comes."""

    crl_shards: Annotated[int, Meta(ge=1, le=256)] = 16
    crl_days: Annotated[int, Meta(ge=1, le=365)] = 7
    ocsp_hours: Annotated[int, Meta(ge=1, le=168)] = 24
    ocsp_max_age_seconds: Annotated[int, Meta(ge=0, le=3600)] = 1


class Log(Section, frozen=True):
    """What the JSON-lines log on standard error tells."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(Section, frozen=True):
    """The whole file. With a ``lab`` the calls that make something take a fault; never with imported CAs."""

    data: str = "voltroot-data"
    lab: bool = True
    serve: Serve = Serve()
    ledger: Ledger = Ledger()
    subject: Subject = Subject()
    ca: Ca = Ca()
    profiles: Profiles = Profiles()
    pnc: Pnc = Pnc()
    contract: Contract = Contract()
    trust: Trust = Trust()
    vpki: Vpki = Vpki()
    csms: Csms = Csms()
    keys: Keys = Keys()
    publish: Publish = Publish()
    log: Log = Log()

    @property
    def folder(self) -> Path:
        """The folder of everything that the backend keeps."""
        return Path(self.data)

    @property
    def base(self) -> str:
        """The public address without a slash at its end."""
        if self.serve.base:
            return self.serve.base.rstrip("/")
        host = f"[{self.serve.host}]" if ":" in self.serve.host else self.serve.host
        return f"http://{'127.0.0.1' if host in ('0.0.0.0', '[::]') else host}:{self.serve.port}"  # noqa: S104 -- compared, not bound

    @property
    def backdate(self) -> timedelta:
        """How long before the present certificates begin, for stations whose clocks are late."""
        return timedelta(minutes=self.profiles.backdate_minutes)


def read_config(path: Path | None) -> Config:
    """Read a file, or return the defaults; Malformed says what is wrong and where."""
    if path is None:
        return Config()
    try:
        config = msgspec.toml.decode(path.read_bytes(), type=Config)
    except OSError as error:
        raise Malformed(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from error
    except UNREADABLE as error:
        raise Malformed(f"{path}: {why(error, Config)}") from error
    check(config)
    return config


def check(config: Config) -> None:
    """Raise Refused for what no member says by itself: names that do not exist, validities beyond the standard."""
    rows = profiles()
    for name, days in config.profiles.days.items():
        if name not in rows:
            raise Refused(f"profiles.days: there is no profile {name}, the profiles are {', '.join(rows)}")
        longest = rows[name].longest
        if longest is not None and timedelta(days=days) + config.backdate > longest:
            raise Refused(f"profiles.days: {name} may be valid for {longest.days} days at most, less the backdating")


def read_secret(path: str, default: str = "") -> str:
    """Return the first line of a file that holds a secret, or the default where no file is named."""
    if not path:
        return default
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()[0]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise Malformed(f"the secret in {path} cannot be read: is the file there, readable and not empty?") from error


def read_pin(path: str) -> str:
    """Return the PIN of a device from its file, or else from the environment."""
    return read_secret(path, os.environ.get("VOLTROOT_PIN", ""))
