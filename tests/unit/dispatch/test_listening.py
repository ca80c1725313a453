from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twingraph.dispatch.embedded.process import HEARING_SECONDS, Listening


def test_all_that_speak_without_end_are_heard_alike_and_a_turn_is_a_moment_long() -> None:
    soon: list[Callable[[], None]] = []
    heard: Counter[str] = Counter()
    now = 100.0
    listening = Listening(soon.append, lambda: now)

    def speaker(name: str) -> Callable[[], None]:
        def hear() -> None:
            nonlocal now
            if listening.may(hear):
                heard[name] += 1
                now += 0.4 * HEARING_SECONDS

        return hear

    speakers = [speaker(name) for name in "abcdefgh"]
    for _ in range(100):  # each turn the loop calls all of them in the same order
        begun = now
        for act in [*soon, *speakers]:
            if act in soon:
                soon.remove(act)
            act()
        assert now - begun < 2 * HEARING_SECONDS
    assert set(heard) == set("abcdefgh")
    assert min(heard.values()) > max(heard.values()) / 2
