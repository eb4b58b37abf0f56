"""What Prometheus reads: counters of what was answered and signed, and when credentials expire."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from voltroot.pki.issuers import Issuers

# Names the folder where the processes of one program add up their counters; the library reads it when it is imported.
TOGETHER = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """Counters in a registry of their own."""

    def __init__(self, registry: CollectorRegistry, issuers: Issuers) -> None:
        self._registry = registry
        self._expiry = Expiry(issuers)
        self._answers = Counter(
            "voltroot_ocsp_answers", "OCSP answers by what they say", ["status"], registry=registry
        )  # fmt: skip
        self.ocsp_signed = Counter("voltroot_ocsp_signed", "OCSP answers that had to be signed", registry=registry)
        self.crl_signed = Counter("voltroot_crl_signed", "CRLs that had to be signed", registry=registry)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format; counters are those of all processes of the program."""
        if TOGETHER not in os.environ:
            return generate_latest(self._registry) + generate_latest(self._expiry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call] # the library's own omission
        return generate_latest(together) + generate_latest(self._expiry)

    def answered(self, says: Iterable[str]) -> None:
        """Count what an OCSP answer says of each certificate, or why it says nothing."""
        for status in says:
            self._answers.labels(status).inc()


class Expiry(Collector):
    """When each credential in use expires."""

    def __init__(self, issuers: Issuers) -> None:
        self._issuers = issuers

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauge."""
        gauge = GaugeMetricFamily(
            "voltroot_credential_not_after_seconds",
            "When the newest certificate of a credential expires, in seconds since 1970",
            labels=["use", "label"],
        )
        for label, credential in self._issuers.standing().newest.items():
            gauge.add_metric([credential.use, label], credential.entry.not_after.timestamp())
        yield gauge
