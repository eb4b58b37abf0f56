"""``voltroot bench exi``: that it measures and says so; how fast it is, is no matter of tests."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backend import VOLTROOT
from peers import environment
from signing import VECTORS
from voltroot.bench import cbv2g
from voltroot.v2g import iso2

LITTLE = ("--quick", "--json", "--seconds", "0.05", "--rounds", "1")
RES = VECTORS["iso2_cert_install_res_2sub"]


def measured(*arguments: str | Path) -> dict[str, Any]:
    command = [VOLTROOT, "bench", "exi", *LITTLE, *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "VOLTROOT_ISO15118"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.slow
def test_every_class_of_messages_is_measured_beside_the_jar() -> None:
    report = measured("--iso15118", environment())
    ours = [figure for figure in report["figures"] if figure["system"] == "voltroot"]
    classes = {(figure["message"], figure["edition"]) for figure in ours}
    assert {name for name, edition in classes if edition == "iso2" and "," not in name} == {
        "CertificateInstallationReq", "CertificateInstallationRes", "CertificateUpdateReq", "CertificateUpdateRes",
        "PaymentDetailsReq", "PaymentDetailsRes", "AuthorizationReq",
    }  # fmt: skip
    assert {name for name, edition in classes if edition == "iso20"} == {
        "CertificateInstallationReq", "CertificateInstallationRes",
    }  # fmt: skip
    jar = [figure for figure in report["figures"] if figure["system"] == "EXICodec.jar"]
    assert {figure["message"] for figure in jar} == {name for name, _ in classes if "," not in name}
    assert all(figure["us"] > 0 and figure["runs"] == 1 for figure in [*ours, *jar])
    typical = next(figure for figure in ours if figure["message"] == "CertificateInstallationRes")
    assert 3500 < typical["octets"] < 3900
    assert {figure["do"] for figure in ours} == {"encode", "decode", "sign", "verify"}
    assert [aim["aim"] for aim in report["aims"]] == [*["at least 60"] * 2, *["at most 3"] * 2, *["at most 11"] * 2]
    assert [aim["met"] is None for aim in report["aims"]] == [False, False, True, True, False, False]


@pytest.mark.slow
def test_what_is_not_at_hand_is_told_with_what_to_do(tmp_path: Path) -> None:
    told = [figure["not_measured"] for figure in measured()["figures"] if "not_measured" in figure]
    assert len(told) == 4
    assert any("--iso15118 DIR" in each for each in told)
    assert any("--cbv2g FILE" in each for each in told)
    none = measured("--iso15118", tmp_path, "--cbv2g", tmp_path / "none.so")
    told = [figure["not_measured"] for figure in none["figures"] if "not_measured" in figure]
    assert any("pip install iso15118==0.31.2" in each for each in told)
    assert any("a shared library with the interface of libcbv2g" in each for each in told)


class Library:
    """What libcbv2g looks like from outside: a stream is begun, a struct is filled from it and written into it."""

    def __init__(self, status: int = 0) -> None:
        self.status, self.length = status, 0

    def exi_bitstream_init(self, stream: Any, data: Any, size: Any, offset: Any, callback: None) -> None:
        assert (offset.value, callback) == (0, None)
        self.data, self.size = data, size.value

    def decode_iso2_exiDocument(self, stream: Any, struct: Any) -> int:
        ctypes.memmove(struct, self.data, self.size)
        self.length = self.size
        return self.status

    def encode_iso2_exiDocument(self, stream: Any, struct: Any) -> int:
        ctypes.memmove(self.data, struct, self.length)
        return self.status

    def exi_bitstream_get_length(self, stream: Any) -> int:
        return self.length


def test_a_library_like_libcbv2g_is_asked_by_its_own_functions() -> None:
    asked = {"namespace": iso2.D, "exi": RES.exi.hex()}
    assert cbv2g.answer(Library(), asked | {"do": "encode"}) == {"exi": RES.exi.hex()}
    for do in ("encode", "decode"):
        assert cbv2g.answer(Library(), asked | {"do": do, "seconds": 0})["us"] > 0
    with pytest.raises(OSError, match="decoding fails with -110"):
        cbv2g.answer(Library(-110), asked | {"do": "decode"})
