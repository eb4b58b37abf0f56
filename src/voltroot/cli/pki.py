"""``voltroot pki``: making, showing, exporting and importing the CAs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from voltroot.app.backend import Backend, account
from voltroot.cli.options import backend_options, existing_backend, load_config, show_progress
from voltroot.errors import Malformed, NotFound, Refused
from voltroot.keys.software import read_private_key
from voltroot.pki.certificates import Certificate, pem, read_pem
from voltroot.pki.drafts import Issuer
from voltroot.pki.issuers import CA
from voltroot.pki.ports import Credential, Reason, State
from voltroot.terms import Serial


@click.group(name="pki")
def pki() -> None:
    """Make, show, export and import CAs.

    \b
    Example:  voltroot pki show --data data
    """


@pki.command(epilog="Example:  voltroot pki init --data data")
@backend_options
@click.option("--json", "as_json", is_flag=True, help="Print the made CAs as JSON.")
def init(config: Path | None, data: str | None, as_json: bool) -> None:
    """Make every CA that is missing; safe to run again."""
    backend = Backend(load_config(config, data), progress=show_progress)
    backend.prepare()
    backend.auditlog.append()
    click.echo("\r\033[K", err=True, nl=False)
    _print(backend, as_json)


@pki.command(epilog="Example:  voltroot pki show --data data --json")
@backend_options
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(config: Path | None, data: str | None, as_json: bool) -> None:
    """Show the CAs as a tree, with the services below them and how long each lives."""
    _print(existing_backend(config, data), as_json)


@pki.command(epilog="Example:  voltroot pki export --data data trust")
@backend_options
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def export(config: Path | None, data: str | None, folder: Path) -> None:
    """Write the certificates of all CAs to FOLDER.

    Each as PEM and DER, its chain, and bundles of all roots and sub-CAs. Private keys stay where they are.
    """
    backend = existing_backend(config, data)
    standing = backend.issuers.standing()
    folder.mkdir(parents=True, exist_ok=True)
    for issuer in standing.cas.values():
        (folder / f"{issuer.slug}.cer").write_bytes(issuer.certificate.der)
        (folder / f"{issuer.slug}.pem").write_text(issuer.certificate.pem, encoding="ascii")
        chain = "".join(certificate.pem for certificate in standing.chain(issuer.number))
        (folder / f"{issuer.slug}.chain.pem").write_text(chain, encoding="ascii")
    bundles = {"roots.pem": True, "sub-cas.pem": False}
    for name, is_root in bundles.items():
        chosen = (issuer.certificate for issuer in standing.cas.values() if issuer.certificate.self_issued is is_root)
        (folder / name).write_text("".join(certificate.pem for certificate in chosen), encoding="ascii")
    click.echo(f"{len(standing.cas)} CAs are in {folder}, their roots in {folder / 'roots.pem'}")


@pki.command(
    name="import",
    epilog="""\b
Example:
  voltroot pki import --data data --as cpo-sub2-2 --key sub2.key sub2.pem sub1.pem root.pem""",
)
@backend_options
@click.option("--as", "label", required=True, metavar="CA", help="Place to fill, such as cpo-sub2-2 ('pki show').")
@click.option("--key", "key_file", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
              help="Private key in PEM; it is copied into the keyring.")  # fmt: skip
@click.option("--key-label", metavar="LABEL", help="Label of a key that the keyring already holds.")
@click.option(
    "--passphrase-file",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True),
    help="Passphrase of the key file.",
)
@click.argument("certificates", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def import_(
    config: Path | None,
    data: str | None,
    label: str,
    key_file: Path | None,
    key_label: str | None,
    passphrase_file: Path | None,
    certificates: tuple[Path, ...],
) -> None:
    """Take an existing CA instead of making one: its CERTIFICATES from the CA itself up to the root, PEM or DER.

    The CA that held the place until now stays behind what it signed. Into an empty folder, imports come before
    'voltroot pki init', which then makes the rest below and beside them.
    """
    backend = Backend(load_config(config, data))
    backend.migrate()
    chain = [certificate for path in certificates for certificate in _read_certificates(path)]
    if key_file is not None:
        if backend.keyring is not backend.key_files:
            raise Refused(
                "a device takes in keys by its maker's tools only: put the key there, and give its label by --key-label"
            )
        passphrase = passphrase_file.read_bytes().strip() if passphrase_file else None
        key_label = f"{label}.{chain[0].fingerprint.hex()[:8]}"
        backend.key_files.put(key_label, read_private_key(key_file.read_bytes(), passphrase))
    if key_label is None:
        raise Refused("a CA without its key cannot issue: give --key FILE or --key-label LABEL")
    credential = backend.ceremony.take_in(label, chain, key_label)
    backend.renew()
    backend.auditlog.append()
    click.echo(f"{credential.slug}: {chain[0].subject} now issues in the place of {label}")


@pki.command(epilog="Example:  voltroot pki revoke --data data --reason key_compromise 1234567890")
@backend_options
@click.option("--reason", default="unspecified", type=click.Choice([reason.name.lower() for reason in Reason]),
              show_default=True, help="Reason of RFC 5280 section 5.3.1.")  # fmt: skip
@click.argument("serial")
def revoke(config: Path | None, data: str | None, reason: str, serial: str) -> None:
    """Revoke any certificate, also that of a sub-CA, by its serial number in decimal."""
    backend = existing_backend(config, data)
    found = backend.ledger.find(serial=int(Serial.parse(serial).decimal))
    if not found:
        raise NotFound(f"there is no certificate with the serial number {serial}")
    if found[0].issuer is None:
        raise Refused("a root cannot be revoked: take it out of the trust stores instead")
    changed = backend.authority.revoke(found, Reason[reason.upper()], door="pki", by=account())
    backend.auditlog.append()
    subject = found[0].read().subject
    click.echo(f"{subject} is revoked" if changed else f"{subject} was revoked already")


def _read_certificates(path: Path) -> list[Certificate]:
    octets = path.read_bytes()
    if b"-----BEGIN" not in octets:
        return [Certificate.read(octets)]
    found = [Certificate.read(der) for label, der in read_pem(octets.decode("latin-1")) if label == "CERTIFICATE"]
    if not found:
        raise Malformed(f"{path} holds no certificate")
    return found


def _print(backend: Backend, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(list(_described(backend)), indent=2))
        return
    standing = backend.issuers.standing()
    services = [credential for credential in standing.newest.values() if credential.use != CA]
    children: dict[int | None, list[Credential]] = {}
    for credential in (*(each for each in standing.credentials if each.use == CA), *services):
        children.setdefault(credential.entry.issuer, []).append(credential)
    for line in _tree(children, None, "", backend.now()):
        click.echo(line)


def _tree(children: dict[int | None, list[Credential]], above: int | None, indent: str, now: datetime) -> Iterator[str]:
    below = children.get(above, [])
    for credential in below:
        last = credential is below[-1]
        branch = "" if above is None else ("└─ " if last else "├─ ")
        entry = credential.entry
        state = "REVOKED" if entry.state is State.REVOKED else f"{(entry.not_after - now).days} days left"
        key = "" if credential.key else ", key elsewhere"
        yield f"{indent}{branch}{credential.slug}  {entry.read().subject.get('CN')}  ({state}{key})"
        deeper = indent if above is None else indent + ("   " if last else "│  ")
        yield from _tree(children, entry.number, deeper, now)


def _described(backend: Backend) -> Iterator[dict[str, Any]]:
    standing = backend.issuers.standing()
    for credential in standing.credentials:
        entry = credential.entry
        certificate = entry.read()
        issuer: Issuer | None = standing.cas.get(entry.issuer) if entry.issuer is not None else None
        yield {
            "slug": credential.slug,
            "use": credential.use,
            "profile": entry.profile,
            "subject": str(certificate.subject),
            "issuer": issuer.slug if issuer else None,
            "serial": str(entry.serial),
            "notBefore": entry.not_before.isoformat(),
            "notAfter": entry.not_after.isoformat(),
            "state": entry.state.value,
            "key": credential.key,
            "certificate": pem("CERTIFICATE", entry.certificate),
        }
