"""Names as careless clients write them: what is one name, what is another, and what stands in the certificate."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type as Type

from apis.vpki.conftest import PRODUCTS, PROV, Api, Product, csr, enrol, name_of
from voltroot.pki import der

EST = PRODUCTS[3]


def subject(api: Api, product: Product, request: str, **codes: str) -> str:
    certificate = api.issued(f"{product.path}/issue", enrol(request, **codes))
    assert [pair.tag for (pair,) in certificate.subject.rdns[1:]] == [der.UTF8_STRING] * 5
    return str(certificate.subject)


@pytest.mark.parametrize(
    "holder", ["KM8P2844A9TD84HR91", "KM7V200DA343BEMZEG80", "x", "h" * 64, "漢字", 'a+b, "c"\\;<=>#']
)
def test_a_common_name_is_taken_as_it_is(api: Api, holder: str) -> None:
    certificate = api.issued("v1/prov/issue", enrol(csr(PROV, PROV.subject(holder))))
    assert certificate.subject.get("CN") == holder
    printed = x509.load_der_x509_certificate(certificate.der).subject.rfc4514_string()
    assert api.ask("v1/prov/revoke", {"dn": printed}) == (200, {})


@pytest.mark.parametrize(
    "types",
    [
        {"O": Type.PrintableString, "OU": Type.PrintableString, "CN": Type.PrintableString},
        {"DC": Type.UTF8String},
        {"DC": Type.PrintableString, "CN": Type.T61String},
        {"CN": Type.BMPString, "OU": Type.UTF8String},
    ],
    ids=str,
)
def test_string_types_make_no_other_name_and_never_reach_the_certificate(api: Api, types: dict[str, Type]) -> None:
    request = csr(PROV, name_of(PROV.subject(), types))
    assert subject(api, PROV, request) == "CN=KM8P2844A9TD84HR91,OU=P001,OU=C001,OU=ECC,O=HKMC,DC=OEM"
    status, answer = api.ask("v1/prov/issue", enrol(csr(PROV)))
    assert (status, answer["resultMessage"]) == (403, "Valid certificate exists on this DN. Please reissue.")


def test_case_makes_no_other_name_and_the_codes_are_written_as_asked(api: Api) -> None:
    small = [(kind, value.lower()) for kind, value in PROV.subject()]
    assert subject(api, PROV, csr(PROV, small)) == "CN=km8p2844a9td84hr91,OU=P001,OU=C001,OU=ECC,O=HKMC,DC=OEM"
    assert api.ask("v1/prov/issue", enrol(csr(PROV)))[0] == 403
    assert api.ask("v1/prov/reissue", enrol(csr(PROV)))[0] == 200


def test_a_name_the_other_way_round_is_the_same(api: Api) -> None:
    assert subject(api, EST, csr(EST, EST.subject()[::-1])) == (
        "CN=test20230207091007.com,OU=P001,OU=C001,OU=ECC,O=HKMC,C=KR"
    )


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        # The units stand for what they are by their place.
        ([0, 1, 2, 4, 3, 5], "(Request UnitCode: C001, TierCode: P001)"),
        ([0, 1, 3, 2, 4, 5], "(Expected: "),
        ([0, 1, 2, 3, 4], "(CN: the value is empty)"),
        ([1, 2, 3, 4, 5], "(Expected: "),
        ([0, 1, 2, 3, 4, 5, 5], "(Expected: "),
        ([0, 1, 2, 3, 5, 4], "(Expected: "),
        ([], "(CN: the value is empty)"),
    ],
)
def test_a_name_of_another_shape_is_refused(api: Api, pairs: list[int], said: str) -> None:
    given = [PROV.subject()[place] for place in pairs]
    status, answer = api.ask("v1/prov/issue", enrol(csr(PROV, name_of(given))))
    assert status == 406
    assert answer["resultMessage"].startswith("DN Format Error: ")
    assert said in answer["resultMessage"]


def test_a_name_of_one_rdn_with_all_its_parts_is_another(api: Api) -> None:
    attributes = [next(iter(rdn)) for rdn in name_of(PROV.subject()).rdns]
    together = x509.Name([x509.RelativeDistinguishedName(attributes)])
    assert api.ask("v1/prov/issue", enrol(csr(PROV, together)))[0] == 406


SPELLINGS = [
    "cn=KM8P2844A9TD84HR91,ou=P001,ou=C001,ou=ECC,o=HKMC,dc=OEM",
    "CN=KM8P2844A9TD84HR91, OU=P001, OU=C001, OU=ECC, O=HKMC, DC=OEM",
    "cn=km8p2844a9td84hr91,OU=p001,ou=c001,ou=ecc,o=hkmc,Dc=oem",
    "  cn = KM8P2844A9TD84HR91 ,ou=P001,  ou=C001 ,ou=ECC,o=HKMC,dc=OEM ",
    "dc=OEM,o=HKMC,ou=ECC,ou=C001,ou=P001,cn=KM8P2844A9TD84HR91",
    "cn=KM8P2844A9TD84HR91,ou=C001,ou=P001,ou=ECC,o=HKMC,dc=OEM",
    "cn=KM8P2844A9TD84HR9\\31,ou=P001,ou=C001,ou=ECC,o=HKMC,dc=OEM",
    'cn="KM8P2844A9TD84HR91",ou=P001,ou=C001,ou=ECC,o=HKMC,dc=OEM',
    "commonName=KM8P2844A9TD84HR91;ou=P001;ou=C001;ou=ECC;o=HKMC;0.9.2342.19200300.100.1.25=#16034f454d",
    "cn=KM8P2844A9TD84HR91,ou=P001,ou=C001,ou=ECC,o=HKMC, dc=OEM",  # as a page of the definition broke it
]


@pytest.mark.parametrize("dn", SPELLINGS)
def test_revoking_finds_a_name_in_any_spelling(api: Api, dn: str) -> None:
    api.issued("v1/prov/issue", enrol(csr(PROV)))
    assert api.ask("v1/prov/revoke", {"dn": dn}) == (200, {})
    assert api.ask("v1/prov/revoke", {"dn": dn}) == (403, {"resultMessage": "already revoked"})


@pytest.mark.parametrize(
    "dn", ["cn=KM8P2844A9TD84HR91", "no name at all", "cn=", ",,,", "cn=\\zz", "cn=a,ou=b" * 900, "\x00"]
)
def test_a_name_that_nobody_has_is_not_there_also_where_it_cannot_be_read(api: Api, dn: str) -> None:
    api.issued("v1/prov/issue", enrol(csr(PROV)))
    assert api.ask("v1/prov/revoke", {"dn": dn}) == (404, {"resultMessage": f"no cert exists on dn {dn.strip()}"})


def test_on_this_dn_means_within_the_product(api: Api) -> None:
    one, other = PRODUCTS[3], PRODUCTS[4]._replace(holder=PRODUCTS[3].holder)
    assert one.dn() == other.dn()
    api.issued("v1/est/issue", enrol(csr(one)))
    status, answer = api.ask("v2/est/reissue", enrol(csr(other)))
    assert (status, answer["resultMessage"]) == (404, "No certificates on this DN. Please issue first.")
    api.issued("v2/est/issue", enrol(csr(other)))
    assert api.ask("v1/est/revoke", {"dn": one.dn()}) == (200, {})
    assert (api.states(one), api.states(other)) == (["revoked"], ["valid"])
