"""Certificate policies of a path (RFC 5280 6.1 with the graph of RFC 9618 in place of the tree, which can explode)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from voltroot.errors import Malformed
from voltroot.pki import der, oids
from voltroot.pki.certificates import Certificate
from voltroot.pki.extensions import read_oid
from voltroot.pki.oids import ANY_POLICY


@dataclass(slots=True)
class Node:
    """A policy at one depth: what the next certificate may call it, and the policies above that it comes from."""

    expected: frozenset[str]
    parents: frozenset[str] = field(default_factory=frozenset)


Level = dict[str, Node]
_QUALIFIERS = frozenset({"1.3.6.1.5.5.7.2.1", "1.3.6.1.5.5.7.2.2"})  # CPS and user notice: words for people
_RESTRICTING = frozenset({oids.POLICY_CONSTRAINTS, oids.INHIBIT_ANY_POLICY})


class Policies:
    """The state variables on policies of RFC 5280 6.1.2 while a path of ``length`` certificates is walked down."""

    def __init__(self, length: int, *, explicit: bool, inhibit_mapping: bool, inhibit_any: bool) -> None:
        self._explicit = 0 if explicit else length + 1
        self._mapping = 0 if inhibit_mapping else length + 1
        self._any = 0 if inhibit_any else length + 1
        # By depth, from the anchor's node down; None once the graph is NULL. Nodes without children stay: only the
        # last level decides whether the graph is NULL, and ``allowed`` climbs from there.
        self._graph: list[Level] | None = [{ANY_POLICY: Node(frozenset({ANY_POLICY}))}]

    def objection(self, certificate: Certificate, *, last: bool) -> str | None:
        """Take a certificate's own policies in; return what is wrong with them, if anything (6.1.3 (d) to (f))."""
        named = _read_policies(certificate)
        if named is None:
            self._graph = None
        elif self._graph is not None:
            with_any = self._any > 0 or (not last and certificate.self_issued)
            self._grow(named, with_any=with_any and ANY_POLICY in named)
        if self._explicit <= 0 and self._graph is None:
            return "a policy is demanded here, and none has been in every certificate so far"
        return None

    def descend(self, certificate: Certificate) -> str | None:
        """Take in what a CA says of policies below it; return what is wrong (6.1.4 (a), (b) and (h) to (j))."""
        if oids.POLICY_MAPPINGS in certificate.extensions:
            mappings = _read_mappings(certificate.extensions[oids.POLICY_MAPPINGS].value)
            if ANY_POLICY in mappings or any(ANY_POLICY in targets for targets in mappings.values()):
                return "it maps anyPolicy, which cannot be mapped"
            for policy, targets in mappings.items():
                self._map(policy, frozenset(targets))
        if not certificate.self_issued:
            self._explicit, self._mapping, self._any = self._explicit - 1, self._mapping - 1, self._any - 1
        self.restrict(certificate)
        return None

    def restrict(self, certificate: Certificate) -> None:
        """Let policyConstraints and inhibitAnyPolicy bring the counters down."""
        if _RESTRICTING.isdisjoint(certificate.extensions):
            return
        explicit, mapping = _read_constraints(certificate)
        if explicit is not None:
            self._explicit = min(self._explicit, explicit)
        if mapping is not None:
            self._mapping = min(self._mapping, mapping)
        extension = certificate.extensions.get(oids.INHIBIT_ANY_POLICY)
        if extension is not None:
            self._any = min(self._any, _count(der.read(extension.value)))

    def outcome(self, certificate: Certificate, wanted: frozenset[str]) -> tuple[frozenset[str], str | None]:
        """Return the policies of the whole path that are wanted, and what is wrong (6.1.5 (a), (b) and (g))."""
        self._explicit -= 1
        if _read_constraints(certificate)[0] == 0:
            self._explicit = 0
        allowed = self._allowed()
        if ANY_POLICY not in wanted:
            allowed = wanted if ANY_POLICY in allowed else allowed & wanted
        if self._explicit <= 0 and not allowed:
            return allowed, "none of the policies that are demanded holds for the whole chain"
        return allowed, None

    def _grow(self, named: frozenset[str], *, with_any: bool) -> None:
        assert self._graph is not None
        above = self._graph[-1]
        parents: dict[str, set[str]] = {}
        for policy, node in above.items():
            for expected in node.expected:
                parents.setdefault(expected, set()).add(policy)
        level: Level = {}
        for policy in named - {ANY_POLICY}:
            origin = parents.get(policy) or ({ANY_POLICY} if ANY_POLICY in above else None)
            if origin:
                level[policy] = Node(frozenset({policy}), frozenset(origin))
        if with_any:
            for policy, origin in parents.items():
                level.setdefault(policy, Node(frozenset({policy}), frozenset(origin)))
        self._graph = [*self._graph, level] if level else None

    def _map(self, policy: str, targets: frozenset[str]) -> None:
        if self._graph is None:
            return
        level = self._graph[-1]
        if self._mapping <= 0:
            level.pop(policy, None)
            self._graph = self._graph if level else None
        elif policy in level:
            level[policy].expected = targets
        elif ANY_POLICY in level:
            level[policy] = Node(targets, frozenset({ANY_POLICY}))

    def _allowed(self) -> frozenset[str]:
        """The policies in the terms of the anchor's domain that reach the last certificate."""
        if self._graph is None:
            return frozenset()
        found = {ANY_POLICY} & self._graph[-1].keys()
        alive = set(self._graph[-1])
        for level in reversed(self._graph[1:]):
            found |= {policy for policy in alive if policy != ANY_POLICY and ANY_POLICY in level[policy].parents}
            alive = {parent for policy in alive for parent in level[policy].parents}
        return frozenset(found)


def _read_policies(certificate: Certificate) -> frozenset[str] | None:
    extension = certificate.extensions.get(oids.CERTIFICATE_POLICIES)
    if extension is None:
        return None
    found = []
    for part in der.children(der.read_sequence(extension.value)):
        policy, *qualifiers = der.children(der.read_sequence(part.whole))
        found.append(read_oid(policy))
        if extension.critical and not _QUALIFIERS.issuperset(_qualifiers(qualifiers)):
            raise Malformed("a policy has a qualifier that is not understood, and it is critical")  # 4.2.1.4
    if not found or len({*found}) != len(found):
        raise Malformed("its certificate policies are none, or one of them stands there twice")
    return frozenset(found)


def _qualifiers(written: list[der.Element]) -> Iterator[str]:
    for qualifier in (each for part in written for each in der.children(part.content)):
        oid, *_words = der.children(qualifier.content)
        yield read_oid(oid)


def _read_mappings(value: bytes) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for part in der.children(der.read_sequence(value)):
        theirs, ours = map(read_oid, der.children(der.read_sequence(part.whole)))
        found.setdefault(theirs, set()).add(ours)
    if not found:
        raise Malformed("its policy mappings are none")
    return found


def _read_constraints(certificate: Certificate) -> tuple[int | None, int | None]:
    """requireExplicitPolicy and inhibitPolicyMapping (RFC 5280 4.2.1.11)."""
    extension = certificate.extensions.get(oids.POLICY_CONSTRAINTS)
    if extension is None:
        return None, None
    found = dict(_counts(der.read_sequence(extension.value)))
    if not found or found.keys() - {0x80, 0x81}:
        raise Malformed("its policy constraints are empty or out of shape")
    return found.get(0x80), found.get(0x81)


def _counts(content: bytes) -> Iterator[tuple[int, int]]:
    for part in der.children(content):
        yield part.tag, _count(part)


def _count(element: der.Element) -> int:
    if element.tag not in (der.INTEGER, 0x80, 0x81):
        raise Malformed("a number of certificates to skip is none")
    value = der.read_integer(element.content)
    if value < 0:
        raise Malformed("a number of certificates to skip is negative")
    return value
