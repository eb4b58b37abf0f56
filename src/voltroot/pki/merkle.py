"""Merkle trees over a list that only grows (RFC 9162 section 2.1, the hashing of RFC 6962), with SHA-256."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256


def leaf_hash(content: bytes) -> bytes:
    """Return the hash of one leaf (RFC 9162 2.1.1)."""
    return sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node above two others (RFC 9162 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """All that has to be kept of a tree to let it grow: the roots of its perfect subtrees, the largest first.

    ``size`` counts the leaves; each bit that is set in it stands for one subtree.
    """

    size: int = 0
    subtrees: tuple[bytes, ...] = ()

    def extend(self, leaves: Iterable[bytes]) -> Frontier:
        """Return the frontier after leaves, given by their hashes, have been appended."""
        size, subtrees = self.size, list(self.subtrees)
        for leaf in leaves:
            # Each trailing one of the size is a subtree as large as the one that is growing.
            carry = size
            while carry & 1:
                leaf = sha256(b"\x01" + subtrees.pop() + leaf).digest()
                carry >>= 1
            subtrees.append(leaf)
            size += 1
        return Frontier(size, tuple(subtrees))

    def root(self) -> bytes:
        """Return the root hash of the tree; that of no leaves is the hash of nothing (RFC 9162 2.1.1)."""
        if not self.subtrees:
            return sha256().digest()
        *larger, hash_ = self.subtrees
        for subtree in reversed(larger):
            hash_ = node_hash(subtree, hash_)
        return hash_

    @classmethod
    def decode(cls, size: int, octets: bytes) -> Frontier | None:
        """Return the frontier whose subtrees stand one after another, None where they do not fit the size."""
        subtrees = tuple(octets[start : start + 32] for start in range(0, len(octets), 32))
        return cls(size, subtrees) if len(octets) == 32 * size.bit_count() else None


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from the leaf at an index to the root, the lowest first (RFC 9162 2.1.3.1)."""
    first, size = 0, len(leaves)
    path: list[bytes] = []
    while size > 1:
        left = 1 << (size - 1).bit_length() - 1
        if index - first < left:
            other, size = leaves[first + left : first + size], left
        else:
            other, first, size = leaves[first : first + left], first + left, size - left
        path.append(Frontier().extend(other).root())
    return path[::-1]


def root_of_proof(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a proof of inclusion leads to, None where it cannot be one (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return None
    place, last = index, size - 1
    for sibling in path:
        if not last:
            return None
        if place & 1 or place == last:
            leaf = node_hash(sibling, leaf)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            leaf = node_hash(leaf, sibling)
        place, last = place >> 1, last >> 1
    return leaf if not last else None
