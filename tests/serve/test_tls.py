"""Certificates of a server that change while connections open."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from charging import key_pem, pem
from pathing import SIGN, Made, alternative, dns, make
from serve.test_dialling import DAY, ENCIPHER, NOW
from voltroot.errors import Unavailable
from voltroot.pki import oids
from voltroot.serve.tls import Renewed, Tls

HANDSHAKES = 80


def branch(folder: Path, name: str) -> tuple[Made, Tls]:
    """A root, and a server's chain below it, the way they stand in files."""
    folder.mkdir()
    root = make(f"CN={name} Root,O=Test,C=DE", begin=NOW - DAY, end=NOW + DAY)
    sub = make(f"CN={name} Sub-CA,O=Test,C=DE", root, ca=True, begin=NOW - DAY, end=NOW + DAY)
    own = make(
        f"CN={name}", sub, begin=NOW - DAY, end=NOW + DAY, usage=SIGN | ENCIPHER,
        extensions={oids.SUBJECT_ALTERNATIVE_NAME: alternative(dns("localhost"))},
    )  # fmt: skip
    (folder / "chain.pem").write_text(pem(own, sub))
    (folder / "key.pem").write_bytes(key_pem(own))
    (folder / "root.pem").write_text(pem(root))
    return root, Tls(folder / "chain.pem", folder / "key.pem", clients=folder / "root.pem")


def serving(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load(context)
    context.load_verify_locations(tls.clients)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def trusting(*roots: Made, own: Tls | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=pem(*roots))
    if own is not None:
        own.load(context)
    return context


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = "localhost") -> bytes | None:
    """The certificate that the client is shown; what either of them has against it is raised."""
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(inward, outward, server_hostname=name)
    far = server.wrap_bio(outward, inward, server_side=True)
    waiting: list[Callable[[], object]] = [near.do_handshake, far.do_handshake]
    while waiting:
        for step in tuple(waiting):
            with suppress(ssl.SSLWantReadError):
                step()
                waiting.remove(step)
    return near.getpeercert(binary_form=True)


def test_connections_that_open_meanwhile_are_shown_one_certificate_or_the_other_whole(tmp_path: Path) -> None:
    made = {name: branch(tmp_path / name, name) for name in ("old", "new")}
    shown = {tls.chain.read_text(): 0 for _, tls in made.values()}
    turn, taken, stopped = iter(range(1_000_000)), [0], threading.Event()
    renewed = Renewed(lambda: serving([*made.values()][next(turn) % 2][1]))

    def take_anew() -> None:
        while not stopped.is_set():
            renewed.reload()
            taken[0] += 1

    thread = threading.Thread(target=take_anew)
    thread.start()
    try:
        client = trusting(*(root for root, _ in made.values()))
        for _ in range(HANDSHAKES):
            leaf = ssl.DER_cert_to_PEM_cert(shake_hands(renewed.context, client) or b"")
            (whose,) = [chain for chain in shown if leaf in chain]
            shown[whose] += 1
    finally:
        stopped.set()
        thread.join()
    assert min(shown.values()) > 0, shown
    assert taken[0] > HANDSHAKES / 4, "it was hardly ever taken anew"


@pytest.mark.parametrize("name", ["localhost", None])
def test_after_a_reload_both_sides_see_what_is_new(tmp_path: Path, name: str | None) -> None:
    (old_root, old), (new_root, new) = branch(tmp_path / "old", "old"), branch(tmp_path / "new", "new")
    current = [old]
    renewed = Renewed(lambda: serving(current[0]))
    client = trusting(old_root, new_root, own=old)
    client.check_hostname = name is not None
    assert shake_hands(renewed.context, client, name)
    current[0] = new
    assert shake_hands(renewed.context, client, name), "what has changed counts when it is taken"
    renewed.reload()
    with pytest.raises(ssl.SSLCertVerificationError, match="local issuer"):
        # The CA of the client's certificate was taken away.
        shake_hands(renewed.context, client, name)
    client = trusting(new_root, own=new)
    client.check_hostname = name is not None
    assert shake_hands(renewed.context, client, name)


def test_a_key_that_does_not_fit_leaves_what_was(tmp_path: Path) -> None:
    (root, old), (_, new) = branch(tmp_path / "old", "old"), branch(tmp_path / "new", "new")
    renewed = Renewed(lambda: serving(old))
    kept = old.key.read_bytes()
    old.key.write_bytes(new.key.read_bytes())
    with pytest.raises(Unavailable, match=r"chain\.pem or its key cannot be used"):
        renewed.reload()
    old.key.write_bytes(kept)
    assert shake_hands(renewed.context, trusting(root))
