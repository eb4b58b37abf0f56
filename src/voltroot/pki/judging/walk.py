"""Walking a path from its anchor down to the leaf: the state variables of RFC 5280 6.1.2."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from voltroot.pki.certificates import Certificate
from voltroot.pki.judging.constraints import Constraints
from voltroot.pki.judging.effort import Effort
from voltroot.pki.judging.inputs import Inputs
from voltroot.pki.judging.inquiry import Status
from voltroot.pki.judging.policies import Policies

Path = tuple[Certificate, ...]
Tell = Callable[[Path, int], Status]


class Walk:
    """The certificate in turn, its issuer, and what those above leave to it. ``room`` is max_path_length.

    Begins at the anchor, which is then its own issuer; ``tell`` says what is known of the status of a place.
    """

    def __init__(self, path: Path, at: datetime, inputs: Inputs, effort: Effort, tell: Tell) -> None:
        self.path = path
        self.at = at
        self.inputs = inputs
        self.effort = effort
        self.place = self.room = len(path) - 1
        self.certificate = self.issuer = path[-1]
        self.policies = Policies(
            self.place,
            explicit=inputs.explicit_policy,
            inhibit_mapping=inputs.inhibit_mapping,
            inhibit_any=inputs.inhibit_any,
        )
        self.constraints = Constraints(inputs.permitted, inputs.excluded)
        self.allowed: frozenset[str] = frozenset()
        self._tell = tell
        self._status: Status | None = None

    def descend(self) -> None:
        """Go on to the certificate below."""
        self.place -= 1
        self.issuer, self.certificate = self.certificate, self.path[self.place]
        self._status = None

    @property
    def certifies(self) -> bool:
        """Whether a certificate stands below this one."""
        return self.place > 0

    @property
    def status(self) -> Status:
        """What is known of the status of the certificate in turn; asked once."""
        if self._status is None:
            self._status = self._tell(self.path, self.place)
        return self._status

    def constrain_by_anchor(self) -> None:
        """Let the anchor's own constraints bind (RFC 5937 3.2)."""
        self.policies.restrict(self.certificate)
        self._narrow()

    def constrain(self) -> str | None:
        """Prepare for the next certificate; return what stands in the way (6.1.4 (a), (b) and (g) to (m))."""
        objection = self.policies.descend(self.certificate)
        if not self.certificate.self_issued:
            self.room -= 1
        self._narrow()
        return objection

    def _narrow(self) -> None:
        if self.certificate.path_length is not None:
            self.room = min(self.room, self.certificate.path_length)
        self.constraints.narrow(self.certificate)
