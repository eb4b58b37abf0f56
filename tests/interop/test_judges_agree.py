"""Three judges of 2,000 random chains: ours, ``openssl verify -x509_strict`` and Java's CertPath."""

from __future__ import annotations

import base64
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathing import NOW
from random_chains import DEFECTS, Sample, samples
from voltroot.pki.chains import Inputs, Verdict, judge, search
from voltroot.pki.oids import ANY_POLICY

pytestmark = pytest.mark.slow

COUNT, SEED, BATCH = 2000, 15118, 100
AT = str(int(NOW.timestamp()))
OPENSSL_VERIFY = [
    "openssl", "verify", "-x509_strict", "-policy_check", "-policy", ANY_POLICY, "-purpose", "any", "-attime", AT,
    "-no-CApath", "-no-CAstore",
]  # fmt: skip

# Where the judges differ: the defect, what we say, and why they do not. Nowhere is it that we accept what a rule of
# RFC 5280 forbids.
SERIAL_0 = "RFC 5280 4.1.2.2: a serial number is positive; they do not look at it"
SERIAL_21 = "RFC 5280 4.1.2.2: nobody has to handle more than 20 octets, and a CRL or OCSP request may not; they do"
PERIOD = "RFC 5280 4.2.1.10 knows no period before a DNS name; they take it for any subdomain"
ONLY_CAS = "RFC 5280 4.2.1.10: name constraints stand in certificates of CAs only; they pass them over in a leaf"
WEAK = "keys of less than 112 bits of security prove nothing any more (NIST SP 800-131A); they leave that to policy"
NONE = "RFC 5280 4.2.1.12: an extKeyUsage names at least one purpose; they do not look"
FIVE = "RFC 5280 4.2.1.6: an address has 4 or 16 octets; they do not look where no constraint asks"
UNSEEN = (
    "RFC 5280 7.1, RFC 4518 2.2: a soft hyphen counts for nothing, so that the name is the excluded one; they count it"
)
OPENSSL: dict[tuple[str, bool], str] = {
    ("purposes_that_are_none", False): NONE,
    ("address_of_five_octets", False): FIVE,
    ("name_in_its_invisible_letters", False): UNSEEN,
    ("serial_zero", False): SERIAL_0,
    ("serial_negative", False): "the strict judge holds RFC 5280 4.1.2.2 against it; the usual one does not",
    ("serial_of_21_octets", False): SERIAL_21,
    ("leading_period_in_a_dns_constraint", False): PERIOD,
    ("name_constraints_of_a_leaf", False): ONLY_CAS,
    ("name_constraints_not_critical", False): "RFC 5280 4.2.1.10: they MUST be critical; the strict judge asks for it",
    ("basic_constraints_beside_der", False): "X.690 11.5: a default is left away; OpenSSL reads BER",
    ("rsa_of_1024_bits", False): WEAK,
    ("curve_p224", False): "no suite of this field uses P-224; OpenSSL checks what it can",
}
JAVA: dict[tuple[str, bool], str] = {
    ("purposes_that_are_none", False): NONE,
    ("address_of_five_octets", False): FIVE,
    ("name_in_its_invisible_letters", False): UNSEEN,
    ("issuer_of_version_1", False): "RFC 5280 6.1.4 (k); Java lets it pass where it is self-issued below its anchor",
    ("serial_zero", False): SERIAL_0,
    ("serial_of_21_octets", False): SERIAL_21,
    ("leading_period_in_a_dns_constraint", False): PERIOD,
    ("name_constraints_of_a_leaf", False): ONLY_CAS,
    ("rsa_of_1024_bits", False): WEAK,
    ("expired_root", False): "an anchor is a name and a key to Java; to us an expired root is no anchor (RFC 5937)",
    ("path_length_exceeded", False): "the root itself sets the limit, which Java does not ask of an anchor (RFC 5937)",
    ("empty_alternative_name", False): "RFC 5280 4.2.1.6: it holds at least one name; Java does not look",
    (
        "leaf_that_may_sign_certificates",
        False,
    ): "RFC 5280 4.2.1.9: keyCertSign is for CAs; Java looks at CAs only",
    ("leaf_with_a_path_length", False): "RFC 5280 4.2.1.9: pathLenConstraint is for CAs; Java looks at CAs only",
    ("policy_twice", False): "RFC 5280 4.2.1.4: a policy stands there once; Java does not look",
    ("critical_distribution_points", True): "RFC 5280 4.2.1.13 lets it be critical, and we process it; Java knows it"
    " only when it checks revocation",
    ("other_authority_key_identifier", True): "RFC 5280 6.1 does not ask for it: it helps to find an issuer, and the"
    " signature tells whether it is the right one; Java will not try an anchor that it does not fit",
}


@pytest.fixture(scope="module")
def chains() -> list[Sample]:
    return samples(COUNT, SEED)


def by_openssl(chains: Sequence[Sample], folder: Path) -> Iterator[str]:
    """What OpenSSL says of each chain, a hundred in one run; names keep the chains apart."""
    for start in range(0, len(chains), BATCH):
        batch = chains[start : start + BATCH]
        (folder / "roots.pem").write_text("".join(each.root.pem for each in batch))
        (folder / "cas.pem").write_text("".join(ca.pem for each in batch for ca in each.path[1:]))
        for each in batch:
            (folder / f"{each.number}.pem").write_text(each.path[0].pem)
        files = [f"{each.number}.pem" for each in batch]
        command = [*OPENSSL_VERIFY, "-CAfile", "roots.pem", "-untrusted", "cas.pem", *files]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        for file in files:
            if re.search(rf"^{file}: OK$", said, re.MULTILINE):
                yield "OK"
            else:
                found = re.search(
                    rf"error (\d+) at \d+ depth lookup: ([^\n]*)\n(?:[^\n]*\n){{0,2}}?error {file}:", said
                )
                yield found[2] if found else "it cannot be read"


def by_java(chains: Sequence[Sample]) -> list[str]:
    lines = [" ".join(base64.b64encode(each.der).decode() for each in (*chain.path, chain.root)) for chain in chains]
    program = Path(__file__).with_name("CertPaths.java")
    done = subprocess.run(["java", program, AT], input="\n".join(lines), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def disagreements(
    chains: Sequence[Sample], ours: Sequence[bool], theirs: Sequence[str], explained: dict[tuple[str, bool], str]
) -> tuple[list[str], Counter[tuple[str, bool]]]:
    """Those that no row explains, and how often each row did."""
    unexplained, used = [], Counter[tuple[str, bool]]()
    for chain, good, said in zip(chains, ours, theirs, strict=True):
        if good is (said == "OK"):
            continue
        rows = [(name, good) for name in chain.defects if (name, good) in explained]
        used.update(rows)
        if not rows:
            unexplained.append(f"{chain.number} {chain.defects}: we say {'OK' if good else 'no'}, they {said}")
    return unexplained, used


def strictly(chains: Sequence[Sample]) -> list[bool]:
    """What the strict judge says, who like OpenSSL looks for the path himself."""
    strict = Inputs(strict=True)
    judged = (search(each.path[0], each.path[1:], [each.root], NOW, inputs=strict) for each in chains)
    return [judgement.verdict is Verdict.OK for judgement in judged]


def usually(chains: Sequence[Sample]) -> list[bool]:
    return [judge(each.path, [each.root], NOW).verdict is Verdict.OK for each in chains]


def test_openssl_agrees_with_the_strict_judge(chains: list[Sample], tmp_path: Path) -> None:
    unexplained, used = disagreements(chains, strictly(chains), [*by_openssl(chains, tmp_path)], OPENSSL)
    assert not unexplained, "\n".join([f"{len(unexplained)} of {len(chains)}", *unexplained[:60]])
    assert used.keys() == OPENSSL.keys(), "a row explains nothing any more"


def test_java_agrees_with_the_usual_judge(chains: list[Sample]) -> None:
    unexplained, used = disagreements(chains, usually(chains), by_java(chains), JAVA)
    assert not unexplained, "\n".join([f"{len(unexplained)} of {len(chains)}", *unexplained[:60]])
    assert used.keys() == JAVA.keys(), "a row explains nothing any more"


def test_the_chains_are_of_all_sorts(chains: list[Sample]) -> None:
    made = Counter(name for each in chains for name in each.defects)
    assert made.keys() == DEFECTS.keys()
    assert min(made.values()) >= 10
    assert sum(not each.defects for each in chains) >= COUNT // 10
    assert COUNT // 4 < sum(usually(chains)) < 3 * COUNT // 4


@pytest.mark.soak
@settings(max_examples=20, deadline=None)
@given(st.integers(min_value=0))
def test_all_three_agree_on_any_other_chains(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    all_three_agree(samples(BATCH, seed), tmp_path_factory.mktemp("chains"))


def test_a_link_certificate_has_an_authority_key_identifier(tmp_path: Path) -> None:
    chain = samples(BATCH, 89)[38]
    assert chain.defects == ("no_authority_key_identifier", "self_issued_ca")
    assert strictly([chain]) == [False]
    all_three_agree([chain], tmp_path)


def all_three_agree(chains: Sequence[Sample], folder: Path) -> None:
    """No judge says anything of these that no row explains."""
    assert disagreements(chains, strictly(chains), [*by_openssl(chains, folder)], OPENSSL)[0] == []
    assert disagreements(chains, usually(chains), by_java(chains), JAVA)[0] == []
