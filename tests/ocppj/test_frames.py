"""Frames as text: what is read, what is written, and what is no frame."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voltroot.ocppj.frames import (
    Call,
    CallError,
    CallResult,
    CallResultError,
    Code,
    Frame,
    Send,
    Unreadable,
    read,
    write,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=36)
payloads = st.dictionaries(texts, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts, max_size=4)
frames = st.one_of(
    st.builds(Call, ids, texts, payloads),
    st.builds(CallResult, ids, payloads),
    st.builds(CallError, ids, st.sampled_from([*Code]).map(str), texts, payloads),
    st.builds(CallResultError, ids, texts, texts, payloads),
    st.builds(Send, ids, texts, payloads),
)


@given(frames)
def test_a_frame_survives_the_wire(frame: Frame) -> None:
    assert read(write(frame)) == frame
    assert json.loads(write(frame))[1] == frame.id


def test_nothing_to_say_may_be_written_as_null() -> None:
    """Part 4, 4.1.5: it is allowed, if not good practice."""
    assert read('[2,"1","Heartbeat",null]') == Call("1", "Heartbeat", {})
    assert read('[3,"1",null]') == CallResult("1", {})


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_text_is_a_frame_or_unreadable(text: bytes | str) -> None:
    with contextlib.suppress(Unreadable):
        assert write(read(text))


@pytest.mark.parametrize(
    ("text", "code", "id_"),
    [
        ("", Code.RPC_FRAMEWORK_ERROR, "-1"),
        ("[2,", Code.RPC_FRAMEWORK_ERROR, "-1"),
        ("{}", Code.RPC_FRAMEWORK_ERROR, "-1"),
        ("[]", Code.RPC_FRAMEWORK_ERROR, "-1"),
        ('[2,7,"Heartbeat",{}]', Code.RPC_FRAMEWORK_ERROR, "-1"),
        ('[2,"","Heartbeat",{}]', Code.RPC_FRAMEWORK_ERROR, "-1"),
        (f'[2,"{"x" * 37}","Heartbeat",{{}}]', Code.RPC_FRAMEWORK_ERROR, "-1"),
        ('[2,"a","Heartbeat"]', Code.RPC_FRAMEWORK_ERROR, "a"),
        ('[2,"a","Heartbeat",[]]', Code.RPC_FRAMEWORK_ERROR, "a"),
        ('[2,"a",1,{}]', Code.RPC_FRAMEWORK_ERROR, "a"),
        ('[2,"a","Heartbeat",{},{}]', Code.RPC_FRAMEWORK_ERROR, "a"),
        ('[3,"a"]', Code.RPC_FRAMEWORK_ERROR, "a"),
        ('[9,"a","Heartbeat",{}]', Code.MESSAGE_TYPE_NOT_SUPPORTED, "a"),
        ('[true,"a","Heartbeat",{}]', Code.MESSAGE_TYPE_NOT_SUPPORTED, "a"),
        ('["2","a","Heartbeat",{}]', Code.MESSAGE_TYPE_NOT_SUPPORTED, "a"),
        ("[" * 100_000, Code.RPC_FRAMEWORK_ERROR, "-1"),
    ],
)
def test_what_is_no_frame_says_why_and_whose_it_was(text: str, code: Code, id_: str) -> None:
    with pytest.raises(Unreadable) as raised:
        read(text)
    assert (raised.value.code, raised.value.id) == (code, id_)
