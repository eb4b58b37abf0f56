"""The vPKI API plugged together from its section of the configuration: operator, callers, certificates."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta, timezone, tzinfo
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

from voltroot.apis.vpki.door import Caller, Clients, Door, Network
from voltroot.apis.vpki.wire import PRODUCTS
from voltroot.app.config import Caller as CallerSection
from voltroot.app.config import Config, Vpki, read_secret
from voltroot.app.pemfiles import read_certificates, read_crl
from voltroot.errors import Refused
from voltroot.pki.addresses import Places
from voltroot.pki.certificates import Certificate
from voltroot.pki.issuers import Issuers
from voltroot.pki.ports import Clock, Ledger, State
from voltroot.pki.profiles import Policy
from voltroot.pki.vpki import CA_SUBJECTS, Operator
from voltroot.serve.tls import Tls

LOOPBACK = Caller("loopback", (ip_network("127.0.0.0/8"), ip_network("::1/128")), products=frozenset(PRODUCTS))
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")


def is_loopback(host: str) -> bool:
    """Whether nobody from elsewhere can reach an address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_offered(config: Config) -> bool:
    """Whether the API has a port: with callers, or on the loopback for whoever is there."""
    return config.vpki.enabled and (bool(config.vpki.callers) or is_loopback(config.serve.host))


def has_tls(section: Vpki) -> bool:
    """Whether the API's port speaks TLS itself."""
    return section.tls and bool(section.callers)


def check(config: Config) -> None:
    """Raise Refused for what does not fit together, before a socket opens."""
    section = config.vpki
    names = [caller.name for caller in section.callers]
    for caller in section.callers:
        if names.count(caller.name) > 1:
            raise Refused(f"vpki.callers: {caller.name} is there twice")
        if not caller.networks and not caller.certificates:
            raise Refused(f"vpki.callers: {caller.name} needs networks or certificates to be known by")
        if caller.certificates and not (has_tls(section) and section.client_ca):
            raise Refused(f"vpki.callers: certificates of {caller.name} need vpki.client_ca, and TLS")
    if section.callers and not section.tls and not section.proxies and not is_loopback(config.serve.host):
        raise Refused("vpki.tls: without TLS name the proxy that has it in vpki.proxies, or listen on the loopback")
    if bool(section.certificate) != bool(section.key):
        raise Refused("vpki.certificate and vpki.key go together")
    if unknown := section.ca_names.keys() - CA_SUBJECTS.keys():
        raise Refused(f"vpki.ca_names: there is no CA {min(unknown)}, the CAs are {', '.join(CA_SUBJECTS)}")
    operator(section).subjects()


def operator(section: Vpki) -> Operator:
    """Return whose PKI it is."""
    return Operator(
        organization=section.organization,
        unit=section.unit,
        country=section.country,
        zone=_zone(section.zone),
        policy=Policy(section.policy),
        ccu_policy=Policy(section.ccu_policy, section.ccu_notice, section.ccu_cps),
        ca_subjects=section.ca_names,
    )


def places(section: Vpki) -> Places:
    """Return where the operator publishes."""
    return Places(section.crl, section.ocsp, section.ca)


def door(config: Config, ledger: Ledger, issuers: Issuers, now: Clock) -> Door:
    """Return who may come in."""
    section = config.vpki
    callers = [_caller(caller) for caller in section.callers] or [LOOPBACK]
    clients = _clients(section, ledger, issuers)
    return Door(callers, now, clients, _networks("vpki.proxies", section.proxies), 1 / config.serve.processes)


def tls(section: Vpki, own: Callable[[], Tls], entrance: Door, ledger: Ledger, issuers: Issuers) -> Tls:
    """Return the server's certificate, and take the files of client CAs and CRLs as they are now."""
    entrance.clients = _clients(section, ledger, issuers)
    if section.certificate:
        password = read_secret(section.key_passphrase_file)
        served = Tls(Path(section.certificate), Path(section.key), password or None)
    else:
        served = own()
    if not section.client_ca:
        return served
    return replace(
        served, clients=Path(section.client_ca), required=all(caller.certificates for caller in section.callers)
    )


def _caller(caller: CallerSection) -> Caller:
    return Caller(
        name=caller.name,
        networks=_networks(f"vpki.callers: networks of {caller.name}", caller.networks),
        certificates=caller.certificates,
        products=frozenset(caller.products or PRODUCTS),
        tiers=frozenset(tier.casefold() for tier in caller.tiers) if caller.tiers else None,
        rate=caller.rate,
    )


def _networks(what: str, texts: Sequence[str]) -> tuple[Network, ...]:
    try:
        return tuple(map(ip_network, texts))
    except ValueError as error:
        raise Refused(f"{what}: {error}; write 10.1.0.0/16 or an address") from error


def _clients(section: Vpki, ledger: Ledger, issuers: Issuers) -> Clients:
    if not section.client_ca:
        return Clients()
    crls = tuple(map(read_crl, section.client_crls))
    return Clients(read_certificates(section.client_ca), crls, partial(_is_revoked, ledger, issuers))


def _is_revoked(ledger: Ledger, issuers: Issuers, certificate: Certificate) -> bool:
    """Whether a certificate of ours is revoked by our own record."""
    for issuer in issuers.standing().cas.values():
        if issuer.certificate.subject_der == certificate.issuer_der:
            (entry,) = ledger.statuses(issuer.number, [certificate.serial])
            if entry is not None and entry.certificate == certificate.der:
                return entry.state is State.REVOKED
    return False


def _zone(text: str) -> tzinfo:
    if offset := _OFFSET.fullmatch(text):
        sign = -1 if offset[1] == "-" else 1
        return timezone(sign * timedelta(hours=int(offset[2]), minutes=int(offset[3])))
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, LookupError) as error:
        raise Refused(f"vpki.zone: {text} is neither an offset such as +09:00 nor a known time zone") from error
