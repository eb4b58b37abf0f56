"""Sealed streams: whatever goes in comes out, and nothing but that ever does."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voltroot.errors import Failure, Malformed, Refused
from voltroot.store.sealed import MAGIC, VERSION, Cost, Sealer, unseal

SECRET = "correct horse"
CHUNK, TAG = 16, 16
# Cheap to open, and with chunks so small that a test has many.
CHEAP = Cost(log_n=1, r=1, p=1, chunk=CHUNK)
HEAD = 40 + TAG

contents = st.binary(max_size=5 * CHUNK)


def sealed(content: bytes, secret: str = SECRET, cost: Cost = CHEAP) -> bytes:
    return sealed_in_parts([content], secret, cost)


def sealed_in_parts(parts: Sequence[bytes], secret: str = SECRET, cost: Cost = CHEAP) -> bytes:
    file = io.BytesIO()
    sealer = Sealer(file, secret, cost)
    for part in parts:
        sealer.write(part)
    sealer.finish()
    return file.getvalue()


def opened(octets: bytes, secret: str = SECRET) -> bytes:
    return b"".join(unseal(io.BytesIO(octets), secret))


def chunks(octets: bytes) -> tuple[bytes, list[bytes]]:
    """The head and the chunks behind it."""
    body = octets[HEAD:]
    return octets[:HEAD], [body[place : place + CHUNK + TAG] for place in range(0, len(body), CHUNK + TAG)]


@given(st.lists(contents, max_size=4), st.integers(1, 40))
def test_any_content_comes_back_however_it_was_written(parts: list[bytes], chunk: int) -> None:
    cost = Cost(log_n=1, r=1, p=1, chunk=chunk)
    assert opened(sealed_in_parts(parts, cost=cost)) == b"".join(parts)


@given(contents, st.data())
def test_a_file_with_any_bit_changed_does_not_open(content: bytes, data: st.DataObject) -> None:
    octets = bytearray(sealed(content))
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Failure):
        opened(bytes(octets))


@given(contents, st.data())
def test_a_file_cut_anywhere_does_not_open(content: bytes, data: st.DataObject) -> None:
    octets = sealed(content)
    with pytest.raises(Failure):
        opened(octets[: data.draw(st.integers(0, len(octets) - 1))])


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5])
def test_a_file_cut_between_chunks_does_not_open(length: int) -> None:
    head, pieces = chunks(sealed(bytes(length)))
    assert opened(head + b"".join(pieces)) == bytes(length)
    for kept in range(len(pieces)):
        with pytest.raises(Refused, match="cut short"):
            opened(head + b"".join(pieces[:kept]))


@given(st.binary(min_size=CHUNK + 1, max_size=6 * CHUNK), st.data())
def test_chunks_that_were_moved_repeated_or_left_out_do_not_open(content: bytes, data: st.DataObject) -> None:
    head, pieces = chunks(sealed(content))
    order = data.draw(st.lists(st.integers(0, len(pieces) - 1), max_size=len(pieces) + 2))
    if order == list(range(len(pieces))):
        assert opened(head + b"".join(pieces)) == content
        return
    with pytest.raises(Refused):
        opened(head + b"".join(pieces[place] for place in order))


@given(contents, st.binary(min_size=1, max_size=CHUNK))
def test_a_file_with_something_behind_it_does_not_open(content: bytes, more: bytes) -> None:
    with pytest.raises(Refused):
        opened(sealed(content) + more)


def test_a_chunk_of_another_file_does_not_open_in_this() -> None:
    (head, own), (_, other) = chunks(sealed(bytes(3 * CHUNK))), chunks(sealed(bytes(3 * CHUNK)))
    with pytest.raises(Refused, match="chunk 2"):
        opened(head + own[0] + other[1] + own[2])


def test_a_wrong_passphrase_is_said_to_be_that_before_anything_is_read() -> None:
    with pytest.raises(Refused, match="passphrase is wrong"):
        next(unseal(io.BytesIO(sealed(b"content")), "wrong horse"))


def test_what_was_not_finished_does_not_open() -> None:
    file = io.BytesIO()
    sealer = Sealer(file, SECRET, CHEAP)
    for _ in range(10):
        sealer.write(bytes(CHUNK))
        with pytest.raises(Refused):
            opened(file.getvalue())


def test_the_same_content_is_never_sealed_alike() -> None:
    assert sealed(b"content")[HEAD:] != sealed(b"content")[HEAD:]


@pytest.mark.parametrize("octets", [b"", b"-----BEGIN", b"x" * 200, MAGIC])
def test_what_is_no_sealed_file_is_malformed(octets: bytes) -> None:
    with pytest.raises(Malformed, match="not a backup"):
        opened(octets)


def test_a_file_of_a_later_version_is_malformed() -> None:
    octets = bytearray(sealed(b"content"))
    octets[len(MAGIC)] = VERSION + 1
    with pytest.raises(Malformed, match="newer"):
        opened(bytes(octets))


@pytest.mark.parametrize("cost", [(0, 8, 1), (16, 1, 1), (31, 8, 1), (10, 0, 1), (10, 8, 0), (10, 8, 200)])
def test_a_head_that_asks_for_too_much_is_refused_before_it_is_paid(cost: tuple[int, int, int]) -> None:
    octets = bytearray(sealed(b"content"))
    octets[len(MAGIC) + 1 : len(MAGIC) + 4] = bytes(cost)
    with pytest.raises(Malformed, match="make no sense"):
        opened(bytes(octets))


def test_what_seals_all_keys_is_not_short_and_not_cheap_to_guess() -> None:
    with pytest.raises(Refused, match="8 characters"):
        Sealer(io.BytesIO(), "1234567", CHEAP)
    assert Cost().log_n >= 17
