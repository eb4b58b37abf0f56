"""Issuing: draft, lint, reserve, sign, record."""

from __future__ import annotations

import pytest

from voltroot.errors import KeyReused, NameTaken
from voltroot.pki.chains import Verdict, judge
from world import World


def test_a_certificate_verifies_up_to_its_root(world: World) -> None:
    entry = world.issue("SECC_2", "secc001")
    assert judge(world.chain(entry), world.issuers.standing().roots, world.clock()).verdict is Verdict.OK


def test_a_name_is_held_while_it_has_a_valid_certificate(world: World) -> None:
    world.issue("SECC_2", "secc001")
    with pytest.raises(NameTaken):
        world.issue("SECC_2", "secc001")


def test_a_key_is_certified_only_once(world: World) -> None:
    order = world.order("SECC_2", "secc001")
    world.authority.issue(order)
    with pytest.raises(KeyReused):
        world.authority.issue(order)
