"""The configuration of a backend: one TOML file, every member with a default, nothing unknown accepted."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from voltroot.errors import Malformed, Refused
from voltroot.pki.profiles import profiles

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
Country = Annotated[str, Meta(pattern="^[A-Za-z]{2}$")]
Line = Annotated[str, Meta(min_length=1, max_length=64)]


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file."""


class Serve(Section, frozen=True):
    """Where the backend listens. ``base`` is the public address that certificates name for CRLs and OCSP."""

    host: str = "127.0.0.1"
    port: Port = 15118
    tls_port: Port = 15119
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


class Keys(Section, frozen=True):
    """The software keyring. The file holds the passphrase that encrypts its keys; without one only the folder's
    permissions protect them."""

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
    """The whole file."""

    data: str = "voltroot-data"
    serve: Serve = Serve()
    ledger: Ledger = Ledger()
    subject: Subject = Subject()
    ca: Ca = Ca()
    profiles: Profiles = Profiles()
    pnc: Pnc = Pnc()
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
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"{path}: {error}") from error
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
