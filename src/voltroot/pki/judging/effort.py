"""How much work one judgement may make: nobody's certificates cost more than a bounded number of signatures."""

from __future__ import annotations

from collections.abc import Mapping

from voltroot.errors import Failure
from voltroot.pki.certificates import Certificate
from voltroot.pki.judging.inputs import MOST_SIGNATURES, MOST_STEPS
from voltroot.pki.signatures import Signed

Known = Mapping[tuple[Signed, bytes], str | None]


class Effort:
    """Counts and remembers the signatures of one judgement: none is checked twice, and none beyond the limit.

    ``known`` is what is remembered from earlier ones, by what is signed and the signer's SubjectPublicKeyInfo.
    """

    def __init__(self, known: Known | None = None) -> None:
        self.signatures = 0
        self.steps = 0
        self._known = dict(known or {})

    def step(self) -> bool:
        """Tell whether one more issuer may be looked at, and count it."""
        self.steps += 1
        return self.steps <= MOST_STEPS

    def objection(self, signed: Signed, signer: Certificate) -> str | None:
        """Return why a signature does not hold under a certificate's key, or None where it holds."""
        place = (signed, signer.spki)
        if place not in self._known:
            if self.signatures >= MOST_SIGNATURES:
                return f"its signature is not checked: {MOST_SIGNATURES} have been, and no more are"
            self._known[place] = self._check(signed, signer)
        return self._known[place]

    def _check(self, signed: Signed, signer: Certificate) -> str | None:
        try:
            key = signer.key
        except (Failure, ValueError) as failure:
            return f"its signature cannot be checked: {failure}"
        self.signatures += 1
        return signed.objection(key)
