"""A program that signs with one key, and makes and deletes others, from eight threads for some seconds.

It checks every signature.

Arguments: device, folder of key files, PIN, label, seconds. Prints how many signatures it made, from when to when; a
failure ends it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from voltroot.keys.opening import open_keyring
from voltroot.pki import suites
from voltroot.pki.suites import P256_SHA256

THREADS = 8


def main(device: str, folder: str, pin: str, label: str, seconds: str) -> None:
    keyring = open_keyring(device, Path(folder), lambda: pin)
    public = keyring.create(label, P256_SHA256)
    begun = time.monotonic()
    until = begun + float(seconds)
    counts, failures = [0] * THREADS, list[BaseException]()

    def work(place: int) -> None:
        other = ec.generate_private_key(ec.SECP256R1())
        try:
            while time.monotonic() < until and not failures:
                data = os.urandom(40)
                signature = suites.sign(keyring.signer(label), data)
                assert suites.verify(public, signature, data, P256_SHA256.hash)
                counts[place] += 1
                if counts[place] % 16 == 0:
                    assert keyring.exchange(label, other.public_key()) == other.exchange(ec.ECDH(), public)
                    own = f"{label}-{os.getpid()}-{place}"
                    made = keyring.create(own, P256_SHA256)
                    assert suites.verify(made, suites.sign(keyring.signer(own), data), data, P256_SHA256.hash)
                    keyring.delete(own)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    assert min(counts) > 0, f"a thread never had its turn: {counts}"
    print(sum(counts), begun, until)


if __name__ == "__main__":
    main(*sys.argv[1:])
