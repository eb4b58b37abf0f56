"""CA certificates as relying parties download them."""

from __future__ import annotations

import httpx2 as httpx
import pytest
from cryptography.hazmat.primitives.serialization import pkcs7

from publishing import pem_blocks
from voltroot.pki.certificates import Certificate
from world import BASE, World


def test_every_ca_is_listed_with_addresses_that_lead_to_it(world: World, client: httpx.Client) -> None:
    listed = client.get("/ca").json()
    assert {ca["slug"] for ca in listed} == set(world.issuers.standing().by_slug)
    for ca in listed:
        issuer = world.issuers.standing().by_slug[ca["slug"]]
        assert client.get(ca["addresses"]["cer"]).content == issuer.certificate.der
        assert pem_blocks(client.get(ca["addresses"]["pem"])) == [issuer.certificate.der]
        chain = [Certificate.read(octets) for octets in pem_blocks(client.get(ca["addresses"]["chain"]))]
        assert chain[0].der == issuer.certificate.der
        assert chain[-1].self_issued
        assert ca["fingerprint"] == issuer.certificate.fingerprint.hex()
        assert ("crl" in ca["addresses"]) == issuer.profile.signs_crls
        assert ca["addresses"]["ocsp"] == f"{BASE}/ocsp"


def test_the_list_says_what_a_ca_is(client: httpx.Client) -> None:
    (ca,) = (ca for ca in client.get("/ca").json() if ca["slug"] == "cpo-sub2-2")
    assert list(ca) == [
        "slug", "title", "edition", "suite", "subject", "issuer", "fingerprint", "notAfter", "addresses",
    ]  # fmt: skip
    assert (ca["title"], ca["edition"], ca["suite"]) == ("CPO sub-CA 2", "ISO15118-2", "P-256")
    assert "CPO sub-CA 1" in ca["issuer"]


def test_certificates_have_the_media_types_of_their_forms(client: httpx.Client) -> None:
    for path, media_type in {
        "/ca/cpo-sub2-2.cer": "application/pkix-cert",
        "/ca/cpo-sub2-2.pem": "application/pem-certificate-chain",
        "/ca/cpo-sub2-2/chain.pem": "application/pem-certificate-chain",
        "/ca/roots.pem": "application/pem-certificate-chain",
        "/ca/cpo-sub2-2": "application/pkcs7-mime",
        "/ca": "application/json",
    }.items():
        assert client.get(path).headers["content-type"] == media_type


def test_a_chain_comes_as_pkcs7_too(client: httpx.Client) -> None:
    found = pkcs7.load_der_pkcs7_certificates(client.get("/ca/cpo-sub2-2").content)
    subjects = {certificate.subject.rfc4514_string() for certificate in found}
    assert len(subjects) == 3


def test_all_roots_come_in_one_bundle_or_those_of_one_edition(world: World, client: httpx.Client) -> None:
    roots = world.issuers.standing().roots
    assert sorted(pem_blocks(client.get("/ca/roots.pem"))) == sorted(root.der for root in roots)
    for edition in ("ISO15118-2", "ISO15118-20", "OCPP"):
        bundle = [
            Certificate.read(octets) for octets in pem_blocks(client.get("/ca/roots.pem", params={"edition": edition}))
        ]
        assert bundle
        assert len(bundle) < len(roots)
    answer = client.get("/ca/roots.pem?edition=15118")
    assert (answer.status_code, "ISO15118-2, ISO15118-20, OCPP" in answer.text) == (400, True)


@pytest.mark.parametrize("path", ["ca/x.cer", "ca/x.pem", "ca/x", "ca/x/chain.pem", "crl/x.crl", "crl/x/0.crl"])
def test_an_unknown_ca_is_not_found(client: httpx.Client, path: str) -> None:
    answer = client.get(f"/{path}")
    assert (answer.status_code, answer.text) == (404, "there is no CA x\n")
