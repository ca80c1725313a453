"""The page of states says what the tables say."""

from __future__ import annotations

from tools.draw_states import PAGE, page


def test_the_page_of_states_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m tools.draw_states`"
