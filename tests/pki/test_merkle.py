"""The Merkle tree of RFC 9162, against the vectors of Certificate Transparency and its own definition."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voltroot.pki.merkle import Frontier, inclusion_proof, leaf_hash, node_hash, root_of_proof

# The leaves and hashes that the reference implementation of RFC 6962 is tested with (merkletree/merkle_tree_test.cc).
CONTENTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
LEAVES = [leaf_hash(bytes.fromhex(content)) for content in CONTENTS]
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]

lists = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70)


def defined(leaves: list[bytes]) -> bytes:
    """The root as RFC 9162 2.1.1 defines it."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(defined(leaves[:half]), defined(leaves[half:]))


def test_the_tree_of_no_leaves_is_the_hash_of_nothing() -> None:
    assert Frontier().root().hex() == EMPTY == sha256().hexdigest()


def test_the_roots_are_those_of_certificate_transparency() -> None:
    for size, root in enumerate(ROOTS, start=1):
        assert Frontier().extend(LEAVES[:size]).root().hex() == root


@pytest.mark.parametrize(("index", "size", "path"), PATHS)
def test_the_proofs_are_those_of_certificate_transparency(index: int, size: int, path: list[str]) -> None:
    proof = inclusion_proof(LEAVES[:size], index)
    assert [hash_.hex() for hash_ in proof] == path
    assert root_of_proof(LEAVES[index], index, size, proof) == bytes.fromhex(ROOTS[size - 1])


@given(lists, st.data())
def test_a_tree_grown_in_parts_has_the_root_of_the_definition(leaves: list[bytes], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(leaves)))
    parts = Frontier().extend(leaves[:first])
    parts = Frontier.decode(parts.size, b"".join(parts.subtrees)) or Frontier()
    grown = parts.extend(leaves[first:])
    assert grown.root() == defined(leaves)
    assert grown.size == len(leaves)


def test_a_frontier_of_another_size_is_none() -> None:
    assert Frontier.decode(3, bytes(32)) is None
    assert Frontier.decode(3, bytes(65)) is None
    assert Frontier.decode(0, b"") == Frontier()


@given(lists, st.data())
def test_a_proof_leads_to_the_root_and_with_any_bit_changed_it_does_not(
    leaves: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path, root = inclusion_proof(leaves, index), defined(leaves)
    assert root_of_proof(leaves[index], index, len(leaves), path) == root
    place, bit = data.draw(st.integers(0, len(path))), data.draw(st.integers(0, 255))
    parts = [leaves[index], *path]
    parts[place] = (int.from_bytes(parts[place]) ^ 1 << bit).to_bytes(32)
    assert root_of_proof(parts[0], index, len(leaves), parts[1:]) != root
    assert root_of_proof(leaves[index], index, len(leaves), [*path, bytes(32)]) is None
    assert root_of_proof(leaves[index], len(leaves), len(leaves), path) is None
    if path:
        assert root_of_proof(leaves[index], index, len(leaves), path[:-1]) != root
