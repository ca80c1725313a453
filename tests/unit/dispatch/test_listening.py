from __future__ import annotations

from collections.abc import Callable

from twingraph.dispatch.embedded.process import HEARING_SECONDS, Listening


def test_a_turn_has_a_moment_for_all_together_and_the_next_has_one_again() -> None:
    soon: list[Callable[[], None]] = []
    now = 100.0
    listening = Listening(soon.append, lambda: now)
    assert not listening.is_over()  # whoever comes first is heard
    now += 0.9 * HEARING_SECONDS
    assert not listening.is_over()
    now += HEARING_SECONDS
    assert listening.is_over()
    (begin,) = soon
    begin()
    assert not listening.is_over()
    assert len(soon) == 2
