"""``voltroot station``: the charging station's certificates."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from voltroot.actors.station import checkup
from voltroot.actors.station.choosing import Wish
from voltroot.actors.station.outcomes import Candidate
from voltroot.actors.station.ports import OWN, CaKind, LeafKind
from voltroot.actors.station.state import Record, State
from voltroot.actors.station.station import Station
from voltroot.actors.station.succession import Succession
from voltroot.cli.options import Moment
from voltroot.cli.station_service import asyncapi, certify, run
from voltroot.cli.terminal import printable
from voltroot.pki.certificates import Certificate
from voltroot.pki.judging.findings import name_of
from voltroot.pki.profiles import profiles
from voltroot.store.certdir import CertificateFolder, Layout
from voltroot.store.stationstate import StateFile

F = TypeVar("F", bound=Callable[..., Any])
LEAF_TITLES = {LeafKind.CSMS: "For the CSMS", LeafKind.V2G: "For cars"}


def folder_options(command: F) -> F:
    """Add the folder, and where its parts are if not in EVerest's usual places."""
    folder = click.Path(file_okay=False, exists=True, path_type=Path)
    options = [
        click.argument("folder", metavar="CERTS", type=folder),
        click.option("--keys", type=folder, metavar="DIR", help="Where client/csms and client/cso have their keys."),
        *(
            click.option(f"--{kind.lower()}-ca", type=click.Path(path_type=Path), metavar="PATH", help=text)
            for kind, text in (
                (CaKind.V2G, "V2G roots: a bundle or a folder.  [default: ca/v2g/V2G_ROOT_CA.pem or ca/v2g]"),
                (CaKind.MO, "MO roots; and so for the next two."),
                (CaKind.CSMS, "CSMS roots."),
                (CaKind.MF, "Manufacturer roots."),
            )
        ),
        click.option(
            "--key-password-file",
            type=click.Path(dir_okay=False, exists=True, path_type=Path),
            metavar="FILE",
            help="Holds the password of the private keys.",
        ),
        click.option("--at", type=Moment(), metavar="TIME", help="Moment to look at, in ISO 8601.  [default: now]"),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def open_station(
    folder: Path,
    keys: Path | None,
    v2g_ca: Path | None,
    mo_ca: Path | None,
    csms_ca: Path | None,
    mf_ca: Path | None,
    key_password_file: Path | None,
    at: datetime | None,
) -> Station:
    """Return the station that the options mean; nothing is made or changed in its folder."""
    given = {CaKind.V2G: v2g_ca, CaKind.MO: mo_ca, CaKind.CSMS: csms_ca, CaKind.MF: mf_ca}
    layout = Layout.everest(folder, keys=keys, elsewhere={kind: path for kind, path in given.items() if path})
    password = key_password_file.read_bytes().rstrip(b"\r\n") if key_password_file else None
    moment = at or datetime.now(UTC)
    found = Station(CertificateFolder(layout, lambda: moment, password=password), profiles(), lambda: moment)
    # A CSMS root that took over from another has not issued itself, and is trusted all the same.
    Succession(Record(StateFile(layout.state / "ocpp.json")), found, lambda: False)
    return found


@click.group()
def station() -> None:
    """A charging station's certificates and keys, in the folder that it may share with EVerest.

    \b
    Examples:
      voltroot station show /etc/everest/certs
      voltroot doctor /etc/everest/certs
      voltroot station run --config station.toml
    """


station.add_command(run)
station.add_command(certify)
station.add_command(asyncapi)


@station.command(
    epilog="""\b
Examples:
  voltroot station show /etc/everest/certs
  voltroot station show certs --v2g-ca certs/ca/v2g --json"""
)
@folder_options
def show(folder: Path, as_json: bool, **options: Any) -> None:
    """Show what is installed in CERTS: roots, the station's certificates with their keys, and what cannot be used."""
    shown = open_station(folder, **options)
    csms = StateFile(folder / ".voltroot/ocpp.json").read()
    if as_json:
        click.echo(json.dumps(_document(shown) | ({"csms": _csms(csms)} if csms.networks else {}), indent=2))
    else:
        for line in (*_lines(shown, folder), *(_csms_lines(csms) if csms.networks else ())):
            click.echo(line)


def _document(shown: Station) -> dict[str, Any]:
    return {
        "authorities": {kind.value: _authorities(shown, kind) for kind in CaKind},
        "leaves": {kind.value: _leaves(shown, kind) for kind in OWN},
        "remarks": [{"text": each.text, "do": each.remedy} for each in checkup.remarks(shown)],
    }


def _csms(state: State) -> dict[str, Any]:
    return {
        "networks": [
            {"slot": slot, "url": each.url, "profile": each.profile, "used": slot == state.slot}
            for slot, each in sorted(state.networks.items())
        ],
        "requests": [{"kind": each.kind.value, "subject": each.name, "sent": each.sent} for each in state.asked],
        "events": [{"type": each.type, "at": f"{each.at:%Y-%m-%dT%H:%M:%SZ}"} for each in state.events],
    }


def _csms_lines(state: State) -> Iterator[str]:
    yield click.style("CSMS", bold=True)
    for slot, each in sorted(state.networks.items()):
        used = ", in use" if slot == state.slot else ""
        yield printable(f"  – slot {slot}: {each.url}, security profile {each.profile}{used}")
    for asked in state.asked:
        yield printable(f"  – a request that waits: {asked.kind} for {asked.name}, sent {asked.sent} times")
    for event in state.events:
        yield printable(f"  – a security event that waits: {event.type} of {event.at:%Y-%m-%d %H:%M} UTC")


def _authorities(shown: Station, kind: CaKind) -> list[dict[str, Any]]:
    roots = shown.roots(kind)
    return [_certificate(each) | {"root": each in roots} for each in shown.store.authorities(kind).certificates]


def _leaves(shown: Station, kind: LeafKind) -> dict[str, Any]:
    leaves = shown.store.leaves(kind)
    return {
        "certificates": [_leaf(each) for each in shown.candidates(Wish(kind))],
        "unusedKeys": [str(key.path) for key in leaves.unused_keys],
        "ocspAnswers": [str(answer.path) for answer in shown.store.answers(kind)],
    }


def _leaf(candidate: Candidate) -> dict[str, Any]:
    leaf = candidate.leaf
    return _certificate(leaf.certificate) | {
        "fitness": candidate.fitness.value,
        "text": candidate.text,
        "chain": [name_of(each) for each in candidate.path[1:]],
        "files": [str(path) for path in leaf.files],
        "key": str(leaf.key.path) if leaf.key else None,
        "keyring": leaf.key.label if leaf.key else None,
    }


def _certificate(certificate: Certificate) -> dict[str, Any]:
    return {
        "subject": name_of(certificate),
        "serial": format(certificate.serial, "x"),
        "notBefore": f"{certificate.not_before:%Y-%m-%dT%H:%M:%SZ}",
        "notAfter": f"{certificate.not_after:%Y-%m-%dT%H:%M:%SZ}",
        "fingerprint": certificate.fingerprint.hex(),
    }


def _lines(shown: Station, folder: Path) -> Iterator[str]:
    now = shown.now()
    for kind in CaKind:
        certificates, roots = shown.store.authorities(kind).certificates, shown.roots(kind)
        yield click.style(f"{kind} CAs", bold=True)
        for each in certificates:
            kept = "root " if each in roots else "sub-CA"
            yield f"  {_mark(each.not_before <= now <= each.not_after)} {kept:6}  {_named(each)}"
        if not certificates:
            yield "  none"
    for own in OWN:
        yield click.style(LEAF_TITLES[own], bold=True)
        candidates = shown.candidates(Wish(own))
        for candidate in candidates:
            yield from _leaf_lines(candidate, folder)
        if not candidates:
            yield "  none"
        for key in shown.store.leaves(own).unused_keys:
            yield printable(f"  – a key that waits for its certificate: {_near(key.path, folder)}")
    found = checkup.remarks(shown)
    if found:
        yield click.style("Remarks", bold=True)
    for remark in found:
        yield printable(f"  ! {remark.text}: {remark.remedy}")


def _leaf_lines(candidate: Candidate, folder: Path) -> Iterator[str]:
    leaf, key = candidate.leaf, candidate.leaf.key
    kept = f"{_near(key.path, folder)}{f' ({key.label} in the keyring)' if key.label else ''}" if key else ""
    yield f"  {_mark(not candidate.text)} {_named(leaf.certificate)}"
    if candidate.text:
        yield printable(f"      {candidate.fitness}: {candidate.text}")
    for label, text in (
        ("issued by", "; ".join(name_of(each) for each in candidate.path[1:]) or "nobody who is here"),
        ("alone", _near(leaf.single_file, folder)),
        ("chain", _near(leaf.chain_file, folder)),
        ("key", kept),
    ):
        if text:
            yield f"      {label:9}  {printable(text)}"


def _near(path: Path | None, folder: Path) -> str:
    if path is None:
        return ""
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _named(certificate: Certificate) -> str:
    return printable(f"{name_of(certificate)}, {certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}")


def _mark(good: bool) -> str:
    return click.style("✓", fg="green") if good else click.style("✗", fg="red")
