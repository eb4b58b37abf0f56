"""Orders that wait are worked together, and each meets its own answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from voltroot.serve.orders import Batches


def test_what_waits_while_the_worker_is_busy_is_one_batch() -> None:
    seen: list[list[int]] = []
    gate = threading.Event()

    def work(asked: Sequence[int]) -> list[int]:
        seen.append(list(asked))
        gate.wait(10)
        return [number * 2 for number in asked]

    async def story() -> list[int]:
        batches: Batches[int, int] = Batches(work, most=4)
        first = asyncio.create_task(batches.place(0))
        while not seen:
            await asyncio.sleep(0.001)
        rest = [asyncio.create_task(batches.place(number)) for number in range(1, 7)]
        await asyncio.sleep(0)
        gate.set()
        answers = [await first, *await asyncio.gather(*rest)]
        await batches.close()
        return answers

    assert asyncio.run(story()) == [0, 2, 4, 6, 8, 10, 12]
    assert seen == [[0], [1, 2, 3, 4], [5, 6]]


def test_an_exception_among_the_answers_reaches_its_caller_only() -> None:
    def work(asked: Sequence[int]) -> list[int | Exception]:
        return [ValueError("odd") if number % 2 else number for number in asked]

    async def story() -> list[object]:
        batches: Batches[int, int] = Batches(work)
        answers = await asyncio.gather(*(batches.place(number) for number in range(4)), return_exceptions=True)
        await batches.close()
        return list(answers)

    answers = asyncio.run(story())
    assert [answers[0], answers[2]] == [0, 2]
    assert isinstance(answers[1], ValueError)
    assert isinstance(answers[3], ValueError)


def test_a_broken_worker_fails_the_batch_and_takes_the_next() -> None:
    calls: list[int] = []

    def work(asked: Sequence[int]) -> list[int]:
        calls.append(len(asked))
        if len(calls) == 1:
            raise RuntimeError("broken")
        return list(asked)

    async def story() -> int:
        batches: Batches[int, int] = Batches(work)
        with pytest.raises(RuntimeError):
            await batches.place(1)
        answer = await batches.place(2)
        await batches.close()
        return answer

    assert asyncio.run(story()) == 2


def test_a_caller_that_goes_away_does_not_stop_the_others() -> None:
    async def story() -> int:
        gate = threading.Event()

        def work(asked: Sequence[int]) -> list[int]:
            gate.wait(10)
            return list(asked)

        batches: Batches[int, int] = Batches(work)
        leaving = asyncio.create_task(batches.place(1))
        await asyncio.sleep(0.01)
        staying = asyncio.create_task(batches.place(2))
        leaving.cancel()
        gate.set()
        answer = await staying
        await batches.close()
        return answer

    assert asyncio.run(story()) == 2
