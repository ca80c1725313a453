"""Ours: `bodies_twingraph.py loop|replay|waiting N`, in an empty folder."""

from __future__ import annotations

import sys
import threading
from contextlib import closing

from benchmarks.bodies import notes
from twingraph import component, pipeline, sleep, wait_for_signal


@component
def inc(x: int) -> int:
    return x + 1


@pipeline
def loop(n: int) -> int:
    value = 0
    notes.mark()
    for number in range(n):
        if number in (n // 10, n - n // 10):
            notes.mark()
        value = inc(value)
        if value > n:
            break
    notes.mark()
    return value


@pipeline
def interrupted(n: int) -> object:
    began = notes.moment()
    value = 0
    for _ in range(n):
        value = inc(value)
        if value > n:
            break
    notes.live(began)
    return wait_for_signal("go")


@pipeline
def waiting(number: int) -> object:
    if number % 2:
        return sleep(3600)
    return wait_for_signal("go")


def replay() -> None:
    from twingraph import wiring
    from twingraph.settings import load

    with closing(wiring.open_reader()) as reader:
        execution = reader.resolve("last")
    runtime = wiring.Runtime(load())
    runtime.resume(execution)


def run_again(execution: str) -> None:
    """Its body is run again from the top, as if the host had let it go for want of room."""
    from twingraph import wiring

    wiring.runtime().conductor.link.reopen(execution, "")


def all_wait(n: int) -> bool:
    return sum(thread.name.startswith("twingraph-body") for thread in threading.enumerate()) == n


def main(what: str, n: int) -> None:
    if what == "fill":
        execution = interrupted.submit(n)
        notes.filled(n, lambda: run_again(execution.id))
        execution.result()
    elif what == "loop":
        loop(min(n, 100))
        if loop(n) != n:
            raise ValueError("a wrong result")
        notes.tell(notes.growth(n))
    elif what == "replay":
        notes.fill(n)
        notes.tell(notes.replayed(n, replay))
    elif what == "waiting":
        for number in range(n):
            waiting.submit(number)
        notes.tell(notes.memory(lambda: all_wait(n)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
