"""What is wrong in a chain, though each of its certificates may be good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from vectors.forgery.corpus import judged
from vectors.forgery.forge import AMENDMENT_1, BEGIN, Forged, above, ca, forge
from voltroot.pki import der, oids
from voltroot.pki.chains import Verdict
from voltroot.pki.profiles import Usage


@judged(Verdict.EXPIRED, "SECC_2", "RFC 5280 6.1.3 (a)(2)")
def expired() -> Sequence[Forged]:
    """The SECC certificate ended three months after its making."""
    return [forge("expired", AMENDMENT_1["SECC_2"], end=BEGIN.replace(month=4)), *above(ca("CPO_SUB2_2"))]


@judged(Verdict.NOT_YET_VALID, "SECC_2", "RFC 5280 6.1.3 (a)(2)")
def not_yet_valid() -> Sequence[Forged]:
    """The SECC certificate begins in 2045."""
    begin = datetime(2045, 1, 1, tzinfo=UTC)
    return [forge("not yet", AMENDMENT_1["SECC_2"], begin=begin), *above(ca("CPO_SUB2_2"))]


@judged(Verdict.REVOKED, "SECC_2", "RFC 5280 6.1.3 (a)(3)", revoked=True)
def revoked() -> Sequence[Forged]:
    """The SECC certificate stands on its CA's list of revoked ones."""
    return [forge("revoked", AMENDMENT_1["SECC_2"]), *above(ca("CPO_SUB2_2"))]


@judged(Verdict.CHAIN_ERROR, "SECC_2", "RFC 5280 6.1.4 (l), V2G2-009")
def path_length_violated() -> Sequence[Forged]:
    """Below a CPO sub-CA 2, which allows no CA below itself, another CA has issued the SECC certificate."""
    third = forge("third", AMENDMENT_1["CPO_SUB2_2"], issuer=ca("CPO_SUB2_2"), common_name="CPO sub-CA 3")
    return [forge("under third", AMENDMENT_1["SECC_2"], issuer=third), third, *above(ca("CPO_SUB2_2"))]


@judged(Verdict.CHAIN_ERROR, "SECC_2", "RFC 5280 6.1.4 (l), V2G2-009")
def four_sub_cas() -> Sequence[Forged]:
    """Four sub-CAs stand between the SECC certificate and the root."""
    third = forge("third", AMENDMENT_1["CPO_SUB2_2"], issuer=ca("CPO_SUB2_2"), common_name="CPO sub-CA 3")
    fourth = forge("fourth", AMENDMENT_1["CPO_SUB2_2"], issuer=third, common_name="CPO sub-CA 4")
    leaf = forge("under fourth", AMENDMENT_1["SECC_2"], issuer=fourth)
    return [leaf, fourth, third, *above(ca("CPO_SUB2_2"))]


@judged(Verdict.CHAIN_ERROR, "SECC_2", "RFC 5280 6.1.4 (k)")
def leaf_issued_by_leaf() -> Sequence[Forged]:
    """A SECC certificate has issued the SECC certificate."""
    upper = forge("upper leaf", AMENDMENT_1["SECC_2"])
    return [forge("lower leaf", AMENDMENT_1["SECC_2"], issuer=upper), upper, *above(ca("CPO_SUB2_2"))]


@judged(Verdict.CHAIN_ERROR, "SECC_2", "RFC 5280 6.1.4 (n)")
def issuer_without_key_cert_sign() -> Sequence[Forged]:
    """KeyUsage of the issuing CA does not hold keyCertSign."""
    usage = der.named_bits(Usage.CRL_SIGN)
    sub = forge("mute", AMENDMENT_1["CPO_SUB2_2"], broken=lambda parts: parts.having(oids.KEY_USAGE, usage))
    return [forge("under mute", AMENDMENT_1["SECC_2"], issuer=sub), sub, *above(ca("CPO_SUB1_2"))]


@judged(Verdict.CHAIN_ERROR, "SECC_2", "RFC 5280 6.1.3 (a)(1)")
def signature_of_another_key() -> Sequence[Forged]:
    """The certificate names the CPO sub-CA 2 as its issuer, but another key has signed it."""
    twin = forge("twin sub", AMENDMENT_1["CPO_SUB2_2"])
    return [forge("under twin sub", AMENDMENT_1["SECC_2"], issuer=twin), *above(ca("CPO_SUB2_2"))]


@judged(Verdict.CHAIN_ERROR, "SECC_2", "RFC 8446 4.4.2")
def reordered_chain() -> Sequence[Forged]:
    """Sub-CA 1 stands before sub-CA 2."""
    second, first, root = above(ca("CPO_SUB2_2"))
    return [forge("reordered", AMENDMENT_1["SECC_2"]), first, second, root, root]


@judged(Verdict.UNKNOWN_ISSUER, "SECC_2", "V2G2-925, RFC 5280 6.1.1 (d)")
def twin_root() -> Sequence[Forged]:
    """The chain ends in a root of the trusted root's name with another key."""
    root = ca("V2G_ROOT_2")
    twin = forge("twin root", AMENDMENT_1["V2G_ROOT_2"])
    first = forge("twin sub 1", AMENDMENT_1["CPO_SUB1_2"], issuer=twin)
    second = forge("twin sub 2", AMENDMENT_1["CPO_SUB2_2"], issuer=first)
    return [forge("under twin root", AMENDMENT_1["SECC_2"], issuer=second), second, first, twin, root]


@judged(Verdict.UNKNOWN_ISSUER, "SECC_2", "V2G2-925")
def secc_signed_by_mo() -> Sequence[Forged]:
    """The MO's sub-CA has issued the SECC certificate, whose anchor has to be a V2G root."""
    leaf = forge("by mo", AMENDMENT_1["SECC_2"], issuer=ca("MO_SUB2_2"))
    return [leaf, *above(ca("MO_SUB2_2")), ca("V2G_ROOT_2")]


@judged(Verdict.UNKNOWN_ISSUER, "SECC_2", "RFC 5280 6.1.1 (d)")
def self_signed_leaf() -> Sequence[Forged]:
    """The SECC certificate has signed itself."""
    own = replace(AMENDMENT_1["SECC_2"], issuer=None)
    return [forge("self-signed", own), ca("V2G_ROOT_2")]
