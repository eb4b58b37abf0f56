"""The configuration of a station: one TOML file, every member but one with a default, nothing unknown accepted."""

from __future__ import annotations

import os
import ssl
from functools import partial
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta, field

from voltroot.actors.station.networks import SCHEMES as SCHEMES_OF_PROFILES
from voltroot.actors.station.variables import check_given
from voltroot.app.config import Log, Port, Positive, Section, read_pin, read_secret
from voltroot.decoding import UNREADABLE, why
from voltroot.errors import Malformed, Refused
from voltroot.serve.mqtt import Broker

Topic = Annotated[str, Meta(pattern="^[^+#\x00-\x1f]*$", max_length=200)]
TopicLevel = Annotated[str, Meta(pattern="^[^+#/\x00-\x1f]+$", max_length=100)]
SCHEMES = {"mqtt": 1883, "mqtts": 8883, "unix": 0}


class Store(Section, frozen=True):
    """How the certificates in ``certs`` are kept. Paths of CAs are bundles or folders; "" is EVerest's usual place.

    The password is that of the private keys; a key that waits for its certificate goes after ``key_patience_minutes``.
    """

    keys: str = ""
    v2g_ca: str = ""
    mo_ca: str = ""
    csms_ca: str = ""
    mf_ca: str = ""
    key_password_file: str = ""
    policy: Literal["newest_not_before", "latest_not_after"] = "newest_not_before"
    strict: bool = False
    most_certificates: Positive = 2000
    most_megabytes: Positive = 50
    keep: Positive = 10
    key_patience_minutes: Positive = 60


class BrokerTable(Section, frozen=True):
    """Where the broker is: mqtt://HOST:PORT, mqtts://HOST:PORT or unix:PATH, and how to be let in.

    ``ca`` has whom to trust in TLS, "" the system's; ``certificate`` and ``key`` are the client's.
    """

    address: str = "mqtt://localhost:1883"
    mqtt: Literal["5", "3.1.1"] = "5"
    client_id: Annotated[str, Meta(max_length=64)] = ""
    user: str = ""
    password_file: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    key_passphrase_file: str = ""


class KeyTable(Section, frozen=True):
    """Where Josev's keys are made: in files beside the certificates, or in a ``device``, a PKCS#11 token or a TPM.

    What a TPM has sealed is in ``folder``; "" is CERTS/.voltroot/keyring.
    """

    device: str = ""
    pin_file: str = ""
    folder: str = ""


class Everest(Section, frozen=True):
    """The API of EVerest. ``module`` is our id there, ``prefix`` EVerest's mqtt_external_prefix.

    A consumer has to send communication_check; intervals of 0 switch a side off.
    """

    enabled: bool = True
    module: TopicLevel = "voltroot"
    prefix: Topic = ""
    heartbeat_interval_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 1000
    communication_check_to_s: Annotated[int, Meta(ge=0, le=86_400)] = 5
    send_key_password: bool = False


class Josev(Section, frozen=True):
    """Josev's generate_csr: the topics that we hear and speak on. ``forward`` is who gets its requests by itself: the
    CPO's CA of [authority], the CSMS, or nobody but Josev."""

    enabled: bool = True
    hears: Topic = "josev/cs"
    says: Topic = "cs/josev"
    forward: Literal["", "authority", "csms"] = ""


class AuthorityTable(Section, frozen=True):
    """The backend whose CPO certifies our keys, and the CAs to trust in HTTPS."""

    api: str = "http://127.0.0.1:15118"
    roots: str = ""


class CsmsTable(Section, frozen=True):
    """The CSMS: its address, to which the identity is appended, and how the station is let in.

    ``serial_number`` is the CN of its certificate, the identity unless given; ``secc_ids`` are those of EVSE 1, 2 and
    so on. ``wants`` are the certificates that it asks for where it has none. ``v2g_root`` has the V2G root that those
    for cars are to stand below, one of each edition. ``device_keys`` makes keys in the device of [keys] if there is
    one. ``variables`` are first values of OCPP's configuration variables.
    """

    url: Annotated[str, Meta(pattern="^(wss?://[!-~]+)?$", max_length=512)] = ""
    identity: Annotated[str, Meta(pattern="^[!-9;-~]{0,48}$")] = ""
    profile: Literal[1, 2, 3] = 2
    password_file: str = ""
    versions: Annotated[tuple[Literal["ocpp2.1", "ocpp2.0.1"], ...], Meta(min_length=1)] = ("ocpp2.1", "ocpp2.0.1")
    serial_number: Annotated[str, Meta(max_length=25)] = ""
    organization: Annotated[str, Meta(max_length=64)] = ""
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$")] = "DE"
    secc_ids: tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...] = ()
    wants: tuple[Literal["ChargingStationCertificate", "V2GCertificate", "V2G20Certificate"], ...] = ()
    v2g_root: str = ""
    device_keys: bool = True
    model: Annotated[str, Meta(min_length=1, max_length=20)] = "Voltroot"
    vendor: Annotated[str, Meta(min_length=1, max_length=50)] = "Voltroot"
    firmware: Annotated[str, Meta(max_length=50)] = ""
    allow_downgrade: bool = False
    allow_wildcards: bool = False
    variables: dict[str, str] = field(default_factory=dict)


class Car(Section, frozen=True):
    """Where programs on this machine ask for cars, in HTTP: HOST:PORT, "" is nowhere."""

    listen: Annotated[str, Meta(pattern=r"^(([0-9.]+|localhost|\[::1\]):[0-9]{1,5})?$")] = ""


class Metrics(Section, frozen=True):
    """Where Prometheus may ask, in HTTP; port 0 is nowhere."""

    host: str = "127.0.0.1"
    port: Port = 0


class StationConfig(Section, frozen=True):
    """The whole file. ``certs`` is the folder in EVerest's layout."""

    certs: Annotated[str, Meta(min_length=1)]
    store: Store = Store()
    broker: BrokerTable = BrokerTable()
    keys: KeyTable = KeyTable()
    everest: Everest = Everest()
    josev: Josev = Josev()
    authority: AuthorityTable = AuthorityTable()
    csms: CsmsTable = CsmsTable()
    car: Car = Car()
    metrics: Metrics = Metrics()
    log: Log = Log()


def read_station_config(path: Path) -> StationConfig:
    """Read a file; Malformed or Refused says what is wrong and where."""
    try:
        config = msgspec.toml.decode(path.read_bytes(), type=StationConfig)
    except OSError as error:
        raise Malformed(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from error
    except UNREADABLE as error:
        raise Malformed(f"{path}: {why(error, StationConfig)}") from error
    broker_of(config)
    check_csms(config.csms)
    if not (config.everest.enabled or config.josev.enabled or config.csms.url):
        raise Refused(f"{path}: neither everest nor josev is enabled, and there is no csms.url: there is nothing to do")
    if config.josev.forward == "csms" and not config.csms.url:
        raise Refused('josev.forward: "csms" needs csms.url')
    if config.car.listen and not config.csms.url:
        raise Refused("car.listen needs csms.url: all that a car asks goes there")
    return config


def check_csms(table: CsmsTable) -> None:
    """Raise Refused for what no member of the table says by itself."""
    if not table.url:
        return
    if not table.identity:
        raise Refused("csms.identity: the station's name at the CSMS is needed")
    scheme = SCHEMES_OF_PROFILES[table.profile]
    if urlsplit(table.url).scheme != scheme or not urlsplit(table.url).hostname:
        raise Refused(f"csms.url: with security profile {table.profile} it is {scheme}://HOST:PORT/PATH")
    if table.profile < 3 and not table.password_file:
        raise Refused(f"csms.password_file: security profile {table.profile} needs a password")
    for name, value in table.variables.items():
        if objection := check_given(name, value):
            raise Refused(f"csms.variables: {name}: {objection}")


def broker_of(config: StationConfig) -> Broker:
    """Return the broker that is meant, or raise Malformed."""
    table = config.broker
    parts = urlsplit(table.address)
    try:
        port = parts.port or SCHEMES[parts.scheme]
    except (ValueError, KeyError) as error:
        raise Malformed(
            f"broker.address: {table.address} is no mqtt://HOST:PORT, mqtts://HOST:PORT or unix:PATH"
        ) from error
    host = unquote(parts.path) if parts.scheme == "unix" else parts.hostname
    if not host:
        raise Malformed(f"broker.address: {table.address} names no {'path' if parts.scheme == 'unix' else 'host'}")
    if parts.username or parts.password:
        raise Refused("broker.address: name and password stand in broker.user and broker.password_file")
    if bool(table.certificate) != bool(table.key):
        raise Refused("broker.certificate and broker.key go together")
    if parts.scheme != "mqtts" and (table.ca or table.certificate):
        raise Refused("broker.ca and broker.certificate are for TLS: write mqtts://")
    return Broker(
        host=host,
        port=port,
        unix=parts.scheme == "unix",
        mqtt5=table.mqtt == "5",
        client_id=table.client_id,
        user=table.user,
        password=partial(read_secret, table.password_file),
        tls=partial(_tls, table) if parts.scheme == "mqtts" else None,
    )


def pin_of(config: StationConfig) -> str:
    """Return the PIN of the device."""
    return read_pin(config.keys.pin_file)


def _tls(table: BrokerTable) -> ssl.SSLContext:
    """Read the files anew: they may have been renewed since the last connection."""
    try:
        context = ssl.create_default_context(cafile=table.ca or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if table.certificate:
            # Without a passphrase an encrypted key would be asked about at a terminal.
            context.load_cert_chain(table.certificate, table.key, read_secret(table.key_passphrase_file))
    except OSError as error:
        why = error.strerror or str(error)
        raise Malformed(f"broker.ca, broker.certificate and broker.key cannot be used: {why}") from error
    return context
