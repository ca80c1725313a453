"""Whoever asks is served or refused, never forgotten."""

from __future__ import annotations

import asyncio

from twingraph.engine.door import Door


def test_what_was_asked_too_late_is_refused() -> None:
    loop, door = asyncio.new_event_loop(), Door()
    told: list[str] = []
    door.open(loop)
    door.ask(lambda: told.append("served"), lambda: told.append("refused"))
    door.close()
    door.ask(lambda: told.append("served"), lambda: told.append("refused"))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert told == ["refused", "refused"]


def test_asks_are_served_in_order_and_the_loop_can_be_ended() -> None:
    loop, door = asyncio.new_event_loop(), Door()
    told: list[int] = []
    door.open(loop)
    for number in range(3):
        door.ask(lambda number=number: told.append(number), lambda: None)  # type: ignore[misc]
    door.end_loop(1.0)
    loop.run_forever()
    door.close()
    door.end_loop(1.0)
    loop.close()
    assert told == [0, 1, 2]


def test_a_wish_to_end_does_not_stop_a_loop_that_is_ending_by_itself() -> None:
    """What ends the loop needs it once more for its own clean-up."""
    loop, door = asyncio.new_event_loop(), Door()
    door.open(loop)
    door.end_loop(1.0)
    door.close()
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()


def test_what_waits_for_the_last_of_several_comes_after_it() -> None:
    told: list[str] = []
    loop, door = asyncio.new_event_loop(), Door(lambda: told.append("served"))
    door.open(loop)
    for word in ("a", "b"):
        door.ask(lambda word=word: told.append(word), lambda: None)  # type: ignore[misc]
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert told == ["a", "b", "served"]


def test_who_asks_on_and_on_keeps_nothing_waiting() -> None:
    told: list[str] = []
    loop, door = asyncio.new_event_loop(), Door(lambda: told.append("served"))
    door.open(loop)

    def on() -> None:
        told.append("on")
        if len(told) < 20:
            door.ask(on, lambda: None)
        else:
            loop.stop()

    for _ in range(2):
        door.ask(on, lambda: None)
    loop.run_forever()
    loop.close()
    assert told.index("served") < 5
