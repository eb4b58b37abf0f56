"""``voltroot doctor`` and ``voltroot station show``: what a person and a script are told of a station's folder."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from charging import LONG, Branch, Charger, key_pem, leaf, pem, root, stapled
from everest_cases import BRANCH, CONTRACT, OTHER, named
from pathing import DAY, NOW, make
from voltroot.actors.station.ports import CaKind, LeafKind
from voltroot.actors.station.state import Record
from voltroot.actors.station.succession import Succession
from voltroot.cli import cli
from voltroot.store.stationstate import StateFile

V2G, MO, CSMS = CaKind.V2G, CaKind.MO, CaKind.CSMS
BRANCH_20, CSMS_BRANCH = Branch("V2G20", "P-521", "CSO"), Branch("CSMS", dc="")
USES = ["ocpp-2", "ocpp-3", "tls", "pnc-2", "pnc-20", "installation"]


def run(*arguments: str | Path, at: datetime = NOW) -> Result:
    result = CliRunner().invoke(cli, [*map(str, arguments), "--at", at.isoformat()])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def told(charger: Charger, *arguments: str, at: datetime = NOW) -> tuple[int, dict[str, dict[str, Any]]]:
    result = run("doctor", charger.folder, "--json", *arguments, at=at)
    return result.exit_code, {each["use"]: each for each in json.loads(result.stdout)["uses"]}


@pytest.fixture
def bare(tmp_path: Path) -> Charger:
    return Charger(tmp_path / "certs")


@pytest.fixture
def whole(bare: Charger) -> Charger:
    """Everything that all uses need."""
    bare.trust(V2G, BRANCH.bundle + pem(BRANCH_20.root))
    bare.trust(MO, pem(CONTRACT.root, root("MO20", kind="P-521")))
    bare.trust(CSMS, pem(CSMS_BRANCH.root))
    bare.own(*BRANCH.chain, name="EVSE")
    bare.own(BRANCH_20.another("DE*ABC*E020"), BRANCH_20.sub2, BRANCH_20.sub1, name="EVSE20")
    own = leaf("CS001", CSMS_BRANCH.sub2, dc="")
    bare.own(own, CSMS_BRANCH.sub2, CSMS_BRANCH.sub1, name="CS", kind=LeafKind.CSMS)
    for own, issuer in ((BRANCH.leaf, BRANCH.sub2), (BRANCH.sub2, BRANCH.sub1), (BRANCH.sub1, BRANCH.root)):
        bare.station.stapling.keep(named(own, issuer), stapled(own, issuer))
    return bare


def test_a_station_that_has_everything_is_well(whole: Charger) -> None:
    result = run("doctor", whole.folder)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "✓ OCPP security profile 2      works now and in 14 days",
        "✓ OCPP security profile 3      works now and in 14 days",
        "✓ TLS to the car               works now and in 14 days",
        "✓ Plug & Charge, ISO 15118-2   works now and in 14 days",
        "✓ Plug & Charge, ISO 15118-20  works now and in 14 days",
        "✓ Contract installation        works now and in 14 days",
    ]
    assert 'remarks": []' in run("doctor", whole.folder, "--json").stdout


def test_an_empty_folder_is_told_what_it_needs_for_each_use_and_is_not_touched(tmp_path: Path) -> None:
    code, uses = told(Charger(tmp_path, opened=False))
    assert code == 1
    assert [*uses] == USES
    assert not any(each["works"] or each["worksLater"] for each in uses.values())
    texts = {use: " ".join(lack["text"] for lack in each["lacks"]) for use, each in uses.items()}
    assert texts["ocpp-2"] == "no CSMS root is installed"
    assert "no certificate for the CSMS" in texts["ocpp-3"]
    assert "no certificate of ISO 15118-20 for cars" in texts["pnc-20"]
    assert "no root of ISO 15118-2 is valid, neither for V2G nor for MO" in texts["pnc-2"]
    assert all(lack["do"] for each in uses.values() for lack in each["lacks"])
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("spoil", "uses", "text"),
    [
        (lambda own: own.trust(CSMS, ""), ["ocpp-2", "ocpp-3", "installation"], "no CSMS root is installed"),
        (lambda own: own.trust(CSMS, pem(root("Old", key="o"))), [], ""),
        (lambda own: keyless(own, LeafKind.CSMS, "CS"), ["ocpp-3"], "no private key"),
        (lambda own: keyless(own, LeafKind.V2G, "EVSE20"), ["pnc-20"], "no private key"),
        (lambda own: keyless(own, LeafKind.V2G, "EVSE"), ["pnc-2"], "no private key"),
        (lambda own: own.trust(V2G, BRANCH.bundle), ["pnc-20"], "no vehicle certificate can be checked"),
    ],
)  # fmt: skip
def test_what_is_missing_stops_the_uses_that_need_it_and_no_other(
    whole: Charger, spoil: Any, uses: list[str], text: str
) -> None:
    spoil(whole)
    code, found = told(whole)
    assert code == (1 if uses else 0)
    assert [use for use in USES if not found[use]["works"]] == uses
    for use in uses:
        assert any(text in lack["text"] for lack in found[use]["lacks"]), found[use]


def keyless(charger: Charger, kind: LeafKind, name: str) -> None:
    (charger.places.keys[kind] / f"{name}.key").unlink()


def test_roots_for_cars_alone_are_not_enough_for_all_contracts_and_that_is_said(whole: Charger) -> None:
    whole.trust(MO, "")
    code, uses = told(whole)
    assert code == 0
    assert "no MO root is valid" in uses["pnc-2"]["hints"][0]["text"]
    assert "works now and in 14 days, but:" in run("doctor", whole.folder).stdout


def test_what_will_have_expired_is_told_with_its_day(whole: Charger) -> None:
    at = BRANCH.leaf.certificate.not_after - 5 * DAY
    code, uses = told(whole, "--use", "tls", "--use", "pnc-2", "--use", "ocpp-2", at=at)
    assert code == 3
    assert [*uses] == ["tls", "pnc-2", "ocpp-2"]
    assert (uses["pnc-2"]["works"], uses["pnc-2"]["worksLater"]) == (True, False)
    assert uses["pnc-2"]["ends"] == f"{BRANCH.leaf.certificate.not_after:%Y-%m-%dT%H:%M:%SZ}"
    assert "it expired on" in uses["pnc-2"]["lacksLater"][0]["text"]
    assert uses["ocpp-2"]["ends"] is None


def test_what_peers_would_refuse_although_it_is_valid_is_told(whole: Charger) -> None:
    newer = leaf("DE*ABC*E003", BRANCH.sub2, dc="", begin=NOW - DAY)  # no DC=CPO
    whole.own(newer, BRANCH.sub2, BRANCH.sub1, name="NODC")
    _, uses = told(whole)
    (lack,) = uses["pnc-2"]["lacks"]
    assert "DE*ABC*E003 in CPO_CERT_NODC_CHAIN.pem would be used" in lack["text"]
    assert "its DC is absent" in lack["text"]


def test_a_certificate_that_a_kept_answer_calls_revoked_does_not_work(whole: Charger) -> None:
    whole.station.stapling.keep(named(BRANCH.sub2, BRANCH.sub1), stapled(BRANCH.sub2, BRANCH.sub1, "revoked"))
    code, uses = told(whole, "--use", "tls")
    assert code == 1
    assert "it is revoked" in uses["tls"]["lacks"][0]["text"]


def test_an_answer_that_cannot_be_read_is_none(whole: Charger) -> None:
    for path in (whole.places.certificates[LeafKind.V2G] / "ocsp").glob("*.der"):
        path.unlink()
        path.mkdir()
    code, uses = told(whole, "--use", "tls")
    assert code == 0
    assert "3 of 3 certificates" in uses["tls"]["hints"][0]["text"]
    assert "Is a directory" in uses["tls"]["hints"][0]["text"]


def test_a_chain_that_is_not_shown_to_cars_as_a_whole_is_told(whole: Charger) -> None:
    (whole.places.certificates[LeafKind.V2G] / "CPO_CERT_EVSE_CHAIN.pem").unlink()
    _, uses = told(whole, "--use", "tls")
    hint = uses["tls"]["hints"][0]["text"]
    assert hint.startswith("EVSE.pem has no chain with CN=V2GSubCA2,O=Test,C=DE and CN=V2GSubCA1,O=Test,C=DE in it")
    whole.trust(V2G, pem(BRANCH.root))
    _, uses = told(whole, "--use", "tls")
    hint = uses["tls"]["hints"][0]["text"]
    assert hint.startswith(f"{BRANCH.sub2.certificate.subject}, which issued {BRANCH.leaf.certificate.subject}")


def test_a_CSMS_root_that_took_over_from_another_is_one(whole: Charger) -> None:
    first = make("CN=First,O=Test,C=DE", end=NOW + LONG)
    second = make("CN=Second,O=Test,C=DE", first, ca=True, end=NOW + LONG)
    whole.trust(CSMS, pem(first))
    succession = Succession(Record(StateFile(whole.places.state / "ocpp.json")), whole.station, lambda: True)
    assert succession.install(pem(second)) is not None
    succession.worked(0)
    assert told(whole, "--use", "ocpp-2")[0] == 0
    shown = json.loads(run("station", "show", whole.folder, "--json").stdout)["authorities"]["CSMS"]
    assert [(each["subject"], each["root"]) for each in shown] == [("CN=Second,O=Test,C=DE", True)]


def test_faults_of_files_are_remarks_and_hostile_names_move_no_cursor(whole: Charger) -> None:
    cso = whole.places.certificates[LeafKind.V2G]
    (cso / "bad\x1b[2J.pem").write_text("rubbish")
    (cso / "other.crt").write_text(pem(BRANCH.leaf))
    (cso / "swapped.pem").write_text(pem(BRANCH.leaf, BRANCH.sub1, BRANCH.sub2))
    exposed = whole.places.keys[LeafKind.V2G] / "EVSE.key"
    exposed.chmod(0o644)
    for command in ("doctor", "station show"):
        result = run(*command.split(), whole.folder)
        assert "\x1b[2J" not in result.stdout
        assert r"bad\x1b[2J.pem: it holds no certificate" in result.stdout
        assert "other.crt: by its name it is not looked at" in result.stdout
        assert f"chmod 600 {exposed}" in result.stdout
        assert "BEGIN" not in result.stdout
    whole.clock.now = NOW - 999 * DAY
    assert "set the clock" in run("doctor", whole.folder, at=whole.clock.now).stdout


def test_places_and_the_password_may_be_given(tmp_path: Path) -> None:
    own = Charger(tmp_path / "certs", password=b"123456")
    own.own(*BRANCH.chain)
    elsewhere = tmp_path / "roots"
    elsewhere.mkdir()
    (elsewhere / "a.pem").write_text(pem(BRANCH.root))
    secret = tmp_path / "password"
    secret.write_text("123456\n")
    options = ["--use", "tls", "--use", "pnc-2", "--v2g-ca", elsewhere]
    without = run("doctor", own.folder, *options)
    assert without.exit_code == 1
    assert "do: give its password if it is encrypted" in without.stdout
    assert run("doctor", own.folder, *options, "--key-password-file", secret).exit_code == 0
    (tmp_path / "keys").mkdir()
    (tmp_path / "certs/client").rename(tmp_path / "keys/client")
    (tmp_path / "certs/client/cso").mkdir(parents=True)
    for path in (tmp_path / "keys/client/cso").glob("*.pem"):
        path.rename(tmp_path / "certs/client/cso" / path.name)
    again = run("doctor", own.folder, *options, "--key-password-file", secret, "--keys", tmp_path / "keys")
    assert again.exit_code == 0, again.stdout


def test_all_that_is_installed_is_shown(whole: Charger) -> None:
    (whole.places.keys[LeafKind.V2G] / "waiting.key").write_bytes(key_pem(OTHER.leaf))
    text = run("station", "show", whole.folder).stdout
    assert "  ✓ root    CN=V2GRootCA,O=Test,C=DE, 2026-05-02 to " in text
    assert "  ✓ sub-CA  CN=V2GSubCA1" in text
    assert "chain      client/cso/CPO_CERT_EVSE_CHAIN.pem" in text
    assert "a key that waits for its certificate: client/cso/waiting.key" in text
    document = json.loads(run("station", "show", whole.folder, "--json").stdout)
    assert [each["root"] for each in document["authorities"]["V2G"]] == [False, False, True, True]
    (cs,) = document["leaves"]["CSMS"]["certificates"]
    assert (cs["fitness"], cs["subject"]) == ("usable", "CN=CS001,O=Test,C=DE")
    assert cs["key"].endswith("client/csms/CS.key")
    assert len(document["leaves"]["V2G"]["ocspAnswers"]) == 3
    assert document["leaves"]["V2G"]["unusedKeys"][0].endswith("waiting.key")


def test_a_folder_that_is_not_there_is_an_error_of_one_line(tmp_path: Path) -> None:
    for command in ("doctor", "station show"):
        result = run(*command.split(), tmp_path / "gone")
        assert result.exit_code == 2
        assert "does not exist" in result.stderr
