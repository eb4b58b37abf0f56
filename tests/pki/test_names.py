"""Distinguished names in every dialect: parsed, printed, compared and encoded."""

from __future__ import annotations

import time
from collections.abc import Callable
from operator import attrgetter
from string import ascii_letters

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from voltroot.errors import Malformed, Refused
from voltroot.pki import der
from voltroot.pki.names import RAW, Attribute, Name, check_bounds

SECC = Name.of((("C", "DE"), ("O", "verisco GmbH"), ("OU", "autocrypt"), ("DC", "CPO"), ("CN", "secc001")))
SECC_TEXT = "CN=secc001,DC=CPO,OU=autocrypt,O=verisco GmbH,C=DE"

PYCA_TYPES = {
    "CN": NameOID.COMMON_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "STREET": NameOID.STREET_ADDRESS,
    "UID": NameOID.USER_ID,
    "DC": NameOID.DOMAIN_COMPONENT,
}
PYCA_IA5 = {NameOID.DOMAIN_COMPONENT}

SPECIALS = ' "#+,;<=>\\'
printable = st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from(SPECIALS)
values = st.text(printable, min_size=1, max_size=16).filter(str.strip)  # pyca counts octets: 64 of them
ascii_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=16).filter(str.strip)
pairs = st.tuples(st.sampled_from([*PYCA_TYPES][:-1]), values) | st.tuples(
    st.sampled_from(["DC", "emailAddress"]), ascii_values
)
names = st.lists(pairs, max_size=6).map(Name.of)

# What a certificate of somebody else may hold: any type, any string type, several pairs in an RDN.
oids = st.sampled_from(["2.5.4.3", "2.5.4.6", "2.5.4.10", "2.5.4.97", "1.3.6.1.4.1.41525.1", "2.999.3"])
anything = st.text(st.characters(codec="utf-8"), max_size=12)
foreign = (
    st.builds(Attribute, oids, anything, st.sampled_from([0x0C, 0x1C]))
    | st.builds(Attribute, oids, st.text(st.characters(max_codepoint=127)), st.sampled_from([0x12, 0x13, 0x16, 0x1A]))
    | st.builds(Attribute, oids, st.text(st.characters(max_codepoint=255)), st.just(0x14))
    | st.builds(Attribute, oids, anything, st.just(0x1E))
    | st.builds(Attribute, oids, st.binary(max_size=9).map(lambda c: "#" + der.tlv(0x04, c).hex()), st.just(RAW))
)
rdns = st.lists(foreign, min_size=1, max_size=3).map(lambda rdn: tuple(sorted(rdn, key=attrgetter("encoded"))))
foreign_names = st.lists(rdns, max_size=5).map(lambda some: Name(tuple(some)))


@pytest.fixture(scope="session")
def read_by_pyca() -> Callable[[Name], x509.Name]:
    """Read our DER back as the subject of a request, the shortest thing that pyca opens unsigned."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    public_key = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    algorithm = der.sequence(der.oid("1.2.840.10045.4.3.2"))

    def read(name: Name) -> x509.Name:
        info = der.sequence(der.integer(0), name.encode(), public_key, der.explicit(0))
        return x509.load_der_x509_csr(der.sequence(info, algorithm, der.bit_string(b"\0"))).subject

    return read


def test_a_name_prints_as_the_interfaces_print_it() -> None:
    assert SECC.print() == str(SECC) == SECC_TEXT


SAME_AS_SECC = [
    SECC_TEXT,
    "CN=secc001, DC=CPO, OU=autocrypt, O=verisco GmbH, C=DE",
    "cn=secc001,dc=CPO,ou=autocrypt,o=verisco GmbH,c=DE",
    "CN=secc001;DC=CPO ; OU=autocrypt;O=verisco GmbH;C=DE",
    'CN = "secc001" , DC=CPO,OU=autocrypt,O="verisco GmbH",C=DE',
    "2.5.4.3=secc001,OID.0.9.2342.19200300.100.1.25=CPO,oid.2.5.4.11=autocrypt,O=verisco GmbH,C=DE",
    r"CN=secc\30\301,DC=#160343504F,OU=auto\63rypt,O=verisco\ GmbH  ,  C=DE",
    "commonName=secc001,domainComponent=CPO,organizationalUnitName=autocrypt,organizationName=verisco GmbH,"
    "countryName=DE",
]


@pytest.mark.parametrize("text", SAME_AS_SECC)
def test_a_name_is_the_same_in_every_dialect(text: str) -> None:
    assert Name.parse(text) == SECC


# RFC 4514 section 4, and what its section 2.4 says of single characters
EXAMPLES = [
    ("UID=jsmith,DC=example,DC=net", [[("DC", "net")], [("DC", "example")], [("UID", "jsmith")]]),
    ("CN=J.  Smith+OU=Sales,DC=net", [[("DC", "net")], [("CN", "J.  Smith"), ("OU", "Sales")]]),
    (r"CN=James \"Jim\" Smith\, III", [[("CN", 'James "Jim" Smith, III')]]),
    ("CN=Before\\0dAfter", [[("CN", "Before\rAfter")]]),
    (r"CN=Lu\C4\8Di\C4\87", [[("CN", "Lučić")]]),
    ("CN=Lučić", [[("CN", "Lučić")]]),
    ('CN="a, b; c + d = e <f> #g"', [[("CN", "a, b; c + d = e <f> #g")]]),
    (r'CN="a \" \\ \2C"', [[("CN", 'a " \\ ,')]]),
    (r"CN=a\=b=c", [[("CN", "a=b=c")]]),
    (r"CN=\ a\ ", [[("CN", " a ")]]),
    (r"CN=\ ", [[("CN", " ")]]),
    (r"CN=a\  ", [[("CN", "a ")]]),
    (r"CN=a\\ ", [[("CN", "a\\")]]),
    (r"CN=a\\41", [[("CN", "a\\41")]]),
    (r"CN=\#5#,O=a", [[("O", "a")], [("CN", "#5#")]]),
    (r"CN=a\00b", [[("CN", "a\0b")]]),
    ("CN=,O=a", [[("O", "a")], [("CN", "")]]),
    ("T=Dr,GN=A,SN=B,E=a@b.c,SERIALNUMBER=7,L=X,ST=Y,STREET=Z", None),
    ("", []),
    ("  ", []),
]


@pytest.mark.parametrize(("text", "expected"), EXAMPLES)
def test_rfc_4514_is_read(text: str, expected: list[list[tuple[str, str]]] | None) -> None:
    name = Name.parse(text)
    if expected is not None:
        assert [sorted((pair.keyword, pair.value) for pair in rdn) for rdn in name.rdns] == expected
    assert Name.parse(str(name)) == name


PRINTED = [
    ('a,b+c"d\\e<f>g;h=i', r"CN=a\,b\+c\"d\\e\<f\>g\;h=i"),
    ("#a#", r"CN=\#a#"),
    (" a b ", r"CN=\ a b\ "),
    ("  ", r"CN=\ \ "),
    (" ", r"CN=\ "),
    ("a\0b", r"CN=a\00b"),
    ("Müller", "CN=Müller"),
    ("a\n", "CN=a\n"),
]


@pytest.mark.parametrize(("value", "text"), PRINTED)
def test_only_what_rfc_4514_names_is_escaped(value: str, text: str) -> None:
    name = Name(((Attribute("2.5.4.3", value),),))
    assert str(name) == text
    assert Name.parse(text) == name


def test_a_type_without_keyword_prints_its_value_in_hexadecimal() -> None:
    name = Name.parse("1.2.3=abc,CN=x")
    assert str(name) == "1.2.3=#0c03616263,CN=x"
    assert Name.parse(str(name)) == name


UNREADABLE = [
    ("secc001", 1),
    ("CN", 1),
    ("=a", 1),
    ("CN=a,", 6),
    ("CN=a,,O=b", 6),
    ("CN=a+", 6),
    ("CN=a;", 6),
    (",CN=a", 1),
    ("CN=a,XY=b", 6),
    ("CN=a,9.9=b", 6),
    ("CN=a,1.45=b", 6),
    ("CN=a,1.02=b", 6),
    ("CN=a,2=b", 6),
    ('CN="a', 4),
    ('CN="a"b', 7),
    ('CN=a"b"', 5),
    ("CN=a<b>", 5),
    ("CN=a\\", 5),
    ("CN=a\\zb", 5),
    ("CN=a\\4", 5),
    ("CN=a\0", 5),
    ("CN=a\ud800b", 5),
    ("CN=#", 4),
    ("CN=#0", 4),
    ("CN=#0c0", 7),
    ("CN=#0c05", 4),
    ("CN=#0c0161ff", 4),
    (r"CN=\ff", 4),
    (r"CN=\C4\41", 4),
    ("/C=DE/CN=a", 1),
]


@pytest.mark.parametrize(("text", "character"), UNREADABLE)
def test_a_text_that_is_no_name_is_malformed_at_the_right_character(text: str, character: int) -> None:
    with pytest.raises(Malformed, match=f"at character {character}:"):
        Name.parse(text)


@given(st.text(st.sampled_from('CN=,+;"\\# aO.1ü\0')))
def test_any_text_is_a_name_or_malformed(text: str) -> None:
    try:
        name = Name.parse(text)
    except Malformed:
        return
    assert Name.parse(str(name)) == name


@pytest.mark.parametrize("filling", [" ", "\\ ", "\\41", "a ", "CN=a,", "CN=a+", "1.", '"', "\\"])
def test_no_text_takes_long_to_parse(filling: str) -> None:
    started = time.process_time()
    for end in ("", "x", "\0", '"'):
        with pytest.raises(Malformed):
            Name.parse(f"CN={filling * 10_000}{end}=\0")
    assert time.process_time() - started < 2


@given(names)
def test_a_name_survives_printing_and_encoding(name: Name) -> None:
    assert Name.parse(str(name)) == name
    assert Name.decode(name.encode()) == name


@given(foreign_names)
def test_a_foreign_name_survives_encoding_and_keeps_its_key(name: Name) -> None:
    encoded = name.encode()
    decoded = Name.decode(encoded)
    assert decoded.encode() == encoded
    assert decoded.matches(Name.parse(str(decoded)))
    assert decoded.key() == Name.parse(str(decoded)).key()


def pyca(name: Name) -> x509.Name:
    types = [(PYCA_TYPES[pair.keyword], pair.value) for (pair,) in name.rdns]
    return x509.Name(
        [x509.NameAttribute(t, v, _ASN1Type.IA5String if t in PYCA_IA5 else _ASN1Type.UTF8String) for t, v in types]
    )


shared = st.lists(
    st.tuples(st.sampled_from([*PYCA_TYPES][:-1]), values) | st.tuples(st.just("DC"), ascii_values), max_size=6
).map(Name.of)


@given(name=shared)
def test_pyca_prints_and_encodes_the_same(name: Name) -> None:
    assert pyca(name).rfc4514_string() == str(name)
    assert pyca(name).public_bytes() == name.encode()


@given(name=names)
def test_pyca_reads_our_der(name: Name, read_by_pyca: Callable[[Name], x509.Name]) -> None:
    assert [(pair.oid.dotted_string, pair.value) for pair in read_by_pyca(name)] == [
        (pair.oid, pair.value) for (pair,) in name.rdns
    ]


def test_a_multi_valued_rdn_is_a_sorted_set(read_by_pyca: Callable[[Name], x509.Name]) -> None:
    name = Name.parse("OU=b+CN=a,C=DE")
    assert name == Name.parse("CN=a+OU=b,C=DE") == Name.decode(name.encode())
    assert read_by_pyca(name).rfc4514_string() == str(name) == "CN=a+OU=b,C=DE"


def test_each_type_has_the_string_type_of_its_profile() -> None:
    name = Name.of((("C", "DE"), ("serialNumber", "7"), ("DC", "EV"), ("emailAddress", "a@b.c"), ("CN", "x")))
    assert [pair.tag for (pair,) in name.rdns] == [0x13, 0x13, 0x16, 0x16, 0x0C]
    assert Name.parse(str(name)) == name


@pytest.mark.parametrize(
    ("tag", "content", "value"),
    [
        (0x0C, "Zoë".encode(), "Zoë"),
        (0x14, b"Zo\xeb", "Zoë"),
        (0x1C, "Zoë".encode("utf-32-be"), "Zoë"),
        (0x1E, "Zoë".encode("utf-16-be"), "Zoë"),
        (0x16, b"Zoe", "Zoe"),
        (0x13, b"Z*e", "Z*e"),
        (0x0C, b"Zo\xeb", "#0c035a6feb"),
        (0x13, b"Zo\xeb", "#13035a6feb"),
        (0x1E, b"abc", "#1e03616263"),
        (0x02, b"\x05", "#020105"),
        (0x2C, b"\x0c\x01a", "#2c030c0161"),
    ],
)
def test_a_value_of_any_type_is_decoded_and_kept(tag: int, content: bytes, value: str) -> None:
    encoded = der.sequence(der.set_of(der.sequence(der.oid("2.5.4.3"), der.tlv(tag, content))))
    name = Name.decode(encoded)
    assert name.get("CN") == value
    assert name.encode() == encoded
    assert Name.parse(str(name)).matches(name)


NO_NAMES = [
    b"",
    b"\x30",
    b"\x31\x00",
    b"\x30\x02\x31\x00",
    b"\x30\x04\x31\x02\x30\x00",
    b"\x30\x02\x30\x00",
    SECC.encode()[:-1],
    SECC.encode() + b"\x00",
    der.sequence(der.set_of(der.sequence(der.oid("2.5.4.3")))),
    der.sequence(der.set_of(der.sequence(der.integer(3), der.tlv(0x0C, b"a")))),
    der.sequence(der.set_of(der.sequence(der.oid("2.5.4.3"), der.tlv(0x0C, b"a"), b"\x05\x00"))),
]


@pytest.mark.parametrize("data", NO_NAMES)
def test_octets_that_are_no_name_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        Name.decode(data)


@given(st.integers(0, len(SECC.encode()) - 1), st.integers(0, 255))
def test_a_damaged_name_is_another_name_or_malformed(at: int, octet: int) -> None:
    damaged = bytearray(SECC.encode())
    damaged[at] = octet
    try:
        name = Name.decode(bytes(damaged))
    except Malformed:
        return
    assert name.matches(SECC) <= (name.key() == SECC.key())


EQUAL = [
    ("CN=secc001,C=DE", "CN=SECC001,C=de"),
    ("CN=a b,C=DE", "CN=  a   b  ,C=DE"),
    ("CN=Straße", "CN=STRASSE"),
    ("CN=Zoë", "CN=Zoe\u0308"),
    ("CN=ﬁn", "CN=FIN"),
    ("CN=a\u00a0b", "CN=a b"),
    ("CN=a", "CN=#130161"),
    ("CN=a", "CN=#1e020061"),
    ("CN=a+OU=b", "OU=B+CN=A"),
    ("CN=#020105", "CN=#020105"),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_names_are_equal_whatever_case_space_and_string_type(one: str, other: str) -> None:
    assert Name.parse(one).key() == Name.parse(other).key()
    assert Name.parse(one).matches(Name.parse(other))


DIFFERENT = [
    ("CN=secc001", "CN=secc002"),
    ("CN=secc001", "OU=secc001"),
    ("CN=ab", "CN=a b"),
    ("CN=a", "CN=a,CN=a"),
    ("CN=a,O=b", "CN=a+O=b"),
    ("OU=a,OU=b,OU=b", "OU=a,OU=a,OU=b"),
    ("CN=a", r"CN=a\00"),
    ("CN=#020105", r"CN=\#020105"),
    (r"CN=a\,2.5.4.10\=b", "CN=a,O=b"),
    (r"CN=a\+2.5.4.10\=b", "CN=a+O=b"),
    (r"CN=a\\,O=b", r"CN=a\,2.5.4.10\=b"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_names_differ(one: str, other: str) -> None:
    assert Name.parse(one).key() != Name.parse(other).key()
    assert not Name.parse(one).matches(Name.parse(other))


def test_a_name_is_found_in_either_order() -> None:
    turned = Name.parse("C=DE,O=verisco GmbH,OU=autocrypt,DC=CPO,CN=secc001")
    assert turned.key() == SECC.key()
    assert turned != SECC


def test_a_chain_needs_the_order_of_rdns() -> None:
    assert not Name.parse("C=DE,CN=a").matches(Name.parse("CN=a,C=DE"))


@given(name=names, data=st.data())
def test_the_key_knows_no_order_no_case_and_no_space(name: Name, data: st.DataObject) -> None:
    swapped = str.maketrans(ascii_letters, ascii_letters.swapcase())

    def restyle(pair: Attribute) -> Attribute:
        return Attribute(pair.oid, f"  {pair.value} ".replace(" ", "  ").translate(swapped), pair.tag)

    restyled = Name(tuple(tuple(map(restyle, rdn)) for rdn in name.rdns))
    assert restyled.matches(name)
    assert Name(tuple(data.draw(st.permutations(restyled.rdns)))).key() == name.key()


@given(names, names)
def test_names_that_match_have_one_key(one: Name, other: Name) -> None:
    assert one.matches(other) <= (one.key() == other.key())
    assert one.matches(one)


def test_the_most_specific_value_is_got() -> None:
    name = Name.parse("cn=KM8P2844A9TD84HR91,ou=P001,ou=C001,ou=ECC,o=HKMC,dc=OEM")
    assert name.get("CN") == "KM8P2844A9TD84HR91"
    assert name.get("ou") == "P001"
    assert name.all("OU") == ("ECC", "C001", "P001")
    assert (name.get("C"), name.all("C")) == (None, ())


@pytest.mark.parametrize("keyword", ["XY", "", "2.5.4.3.9"])
def test_an_unknown_keyword_is_malformed(keyword: str) -> None:
    with pytest.raises(Malformed, match="CN"):
        Name.of(((keyword, "a"),))


BOUNDS = [
    ("CN", "x" * 64, None),
    ("CN", "ü" * 64, None),
    ("CN", "x" * 65, "CN: the value has 65 characters; allowed are 1 to 64"),
    ("O", "x" * 65, "O: .*64"),
    ("OU", "x" * 65, "OU: .*64"),
    ("CN", "", "CN: .*empty"),
    ("CN", " ", "CN: .*empty"),
    ("C", "de", None),
    ("C", "D", "C: .*two letters"),
    ("C", "DEU", "C: .*two letters"),
    ("C", "D1", "C: .*two letters"),
    ("C", "ÄÖ", "C: .*two letters"),
    ("C", "DE\n", "C: .*control"),
    ("serialNumber", "A-1", None),
    ("serialNumber", "A_1", "serialNumber: .*A-Za-z0-9"),
    ("DC", "CPO", None),
    ("DC", "CPÖ", r"DC: .*\[ -~\]"),
    ("emailAddress", "ä@b.c", r"emailAddress: .*\[ -~\]"),
    ("CN", "secc001\0", "CN: .*control"),
    ("CN", "a\x1bb", "CN: .*control"),
    ("CN", "a\x85b", "CN: .*control"),
    ("CN", "a\ud800b", "CN: .*half a character"),
]


@pytest.mark.parametrize(("keyword", "value", "message"), BOUNDS)
def test_a_value_out_of_bounds_is_refused_by_name(keyword: str, value: str, message: str | None) -> None:
    if message is None:
        assert Name.of(((keyword, value),)).get(keyword) == value
    else:
        with pytest.raises(Refused, match=message):
            Name.of(((keyword, value),))


@pytest.mark.parametrize("text", ["CN=#020105", "CN=", r"CN=a\00", "C=DEU", "CN=#13012a", f"OU={'x' * 65}"])
def test_a_name_that_was_read_can_be_refused_too(text: str) -> None:
    with pytest.raises(Refused):
        check_bounds(Name.parse(text))
