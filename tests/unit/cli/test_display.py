"""How a run is drawn: bounded, calm, and readable without colour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.unit.cli.double import (
    MemoryReader,
    Terminal,
    at,
    error_record,
    failed_tour,
    make_log,
    make_node,
    make_surface,
    make_view,
    tree_of,
    written,
)
from twingraph.cli.console import Line, table
from twingraph.cli.display import Follower, attach
from twingraph.cli.display.final import last_lines
from twingraph.cli.display.follow import choose_mode
from twingraph.cli.display.plain import PlainLog
from twingraph.cli.display.screen import Screen
from twingraph.cli.display.tree import draw, share
from twingraph.cli.words import columns, cut, printable, quoted, seconds
from twingraph.core.execution import ExecutionView, LogRecord
from twingraph.core.statuses import ExecutionStatus, NodeStatus


def text_of(lines: Sequence[Line]) -> list[str]:
    return ["".join(part for part, _ in line).rstrip() for line in lines]


def a_map(done: int, total: int, failed: tuple[int, ...] = ()) -> ExecutionView:
    children = [
        make_node(
            f"squares[{n}]",
            NodeStatus.FAILED if n in failed else NodeStatus.COMPLETED if n < done else NodeStatus.PENDING,
            container="squares",
            error=error_record() if n in failed else None,
        )
        for n in range(total)
    ]
    holder = make_node("squares", NodeStatus.RUNNING, kind="map", start=0, end=None)
    return make_view([make_node("numbers"), holder, *children], ExecutionStatus.RUNNING, owner="alive")


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("height", [6, 10, 40])
def test_the_drawing_stays_within_the_terminal(width: int, height: int) -> None:
    nodes = [make_node(f"数据清洗_{n}_with_a_long_name", start=0, end=99.0) for n in range(50)]
    view = make_view([*nodes, *failed_tour().nodes], ExecutionStatus.RUNNING)
    lines = text_of(draw(tree_of(view), at(2), make_surface(), width=width, height=height))
    assert len(lines) <= height
    assert max(map(columns, lines)) <= width
    assert any("node7" in line for line in lines), "the failed one is never left out"


def test_a_narrow_terminal_keeps_the_counts_and_drops_the_bar() -> None:
    lines = text_of(draw(tree_of(a_map(3, 9)), at(2), make_surface(), width=40, height=30))
    assert "3/9" in lines[2]
    assert "█" not in lines[2]


def test_what_is_left_out_is_counted() -> None:
    view = make_view([make_node(f"n{n}") for n in range(30)])
    assert text_of(draw(tree_of(view), at(2), make_surface(), width=80, height=12))[-1] == "  … 20 more: 20 completed"


def test_a_map_is_a_bar_and_its_failures() -> None:
    lines = text_of(draw(tree_of(a_map(340, 1000, (17,))), at(2), make_surface(), width=100, height=30))
    assert "340/1,000  1 failed" in lines[2]
    assert "✗ squares[17]" in lines[3]
    assert len(lines) == 4, "finished items stand in the bar alone"


@pytest.mark.parametrize(
    ("parts", "total", "cells"),
    [([0, 0], 0, [0, 0]), ([999, 1], 1000, [11, 1]), ([1, 0], 1000, [1, 0]), ([5, 0], 5, [12, 0])],
)
def test_one_failure_among_thousands_has_a_cell(parts: list[int], total: int, cells: list[int]) -> None:
    assert share(parts, total, 12) == cells


def test_the_plain_log_tells_each_change_once() -> None:
    log = PlainLog()
    tour = tree_of(failed_tour())
    first = text_of(log.lines(tour, at(2)))
    assert first[0].endswith("node1 completed 80ms (10/10)")
    assert any("node7 failed 100ms (10/10) ValueError: 32 is too heavy" in line for line in first)
    assert log.lines(tour, at(3)) == []


def test_the_plain_log_of_a_huge_map_is_short() -> None:
    log = PlainLog()
    lines: list[str] = []
    for tenths in range(0, 100, 5):
        snapshot = tree_of(a_map(tenths * 100, 10_000, failed=tuple(range(min(tenths, 60)))), children=20)
        lines += text_of(log.lines(snapshot, at(tenths / 10)))
    counts = [line for line in lines if "squares running" in line]
    assert 3 <= len(counts) <= 5
    assert len(lines) < 30


def test_live_draws_only_after_a_moment_and_prints_at_once() -> None:
    surface = make_surface(terminal=True)
    follower = Follower(
        MemoryReader(views=[a_map(3, 9)], said=[make_log(1, "hello")]), a_map(0, 1).record.id, surface, mode="live"
    )
    follower.tick(at(0))
    assert "load │ hello" in written(surface)
    assert "numbers" not in written(surface)
    follower.tick(at(0.4))
    assert "numbers" in written(surface)


class Chatterbox(MemoryReader):
    """Prints faster than anybody reads."""

    def logs(self, execution_id: str, *, after: int = 0, limit: int = 1000, **_: object) -> list[LogRecord]:
        return [make_log(after + number, "again") for number in range(1, limit + 1)]


@pytest.mark.parametrize("mode", ["plain", "live"])
def test_endless_prints_leave_time_to_look_for_ctrl_c(mode: str) -> None:
    view = a_map(3, 9)
    surface = make_surface(terminal=mode == "live")
    Follower(Chatterbox(views=[view]), view.record.id, surface, mode=mode).tick(at(1))
    assert "again" in written(surface)


def test_the_screen_goes_back_over_lines_that_a_narrower_terminal_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    surface = make_surface(terminal=True)
    monkeypatch.setenv("COLUMNS", "80")
    screen = Screen(surface)
    screen.draw([], [[("x" * 60, "")], [("y", "")]])
    monkeypatch.setenv("COLUMNS", "40")
    screen.draw([], [[("z", "")]])
    assert "\x1b[3F" in written(surface)


@pytest.mark.parametrize(
    ("setting", "terminal", "mode"),
    [
        ("auto", True, "live"),
        ("auto", False, "plain"),
        ("live", False, "plain"),
        ("off", True, "off"),
        ("plain", True, "plain"),
    ],
)
def test_the_mode_follows_setting_and_terminal(setting: str, terminal: bool, mode: str) -> None:
    assert choose_mode(setting, make_surface(terminal=terminal)) == mode


def test_a_script_off_a_terminal_is_silent() -> None:
    stream = Terminal()
    assert attach(MemoryReader(views=[failed_tour()]), failed_tour().record.id, stream=stream) is None
    assert stream.getvalue() == ""


def test_a_script_on_a_terminal_ends_with_one_line_and_names_what_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal(terminal=True)
    view = make_view([make_node("count")], result=6)
    stopped = make_view([], ExecutionStatus.RUNNING, id="exec-old", owner="gone").record
    watch = attach(MemoryReader(views=[view]), view.record.id, stream=stream, stopped_before=[stopped])
    assert watch is not None
    watch.finish()
    first, *_, last = stream.getvalue().strip().splitlines()
    assert "twingraph resume exec-old" in first
    assert last.endswith("✓ tour completed → 6  1 node in 1.5s · twingraph show last")


def test_a_long_result_is_cut_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    view = make_view([make_node("count")], result="x" * 500)
    lines = text_of(last_lines(view, MemoryReader(), make_surface(terminal=True), with_result=True))
    assert columns(lines[0]) <= 80


def test_paused_says_how_to_go_on() -> None:
    view = make_view([], ExecutionStatus.PAUSED, reason="interrupted")
    lines = text_of(last_lines(view, MemoryReader(), make_surface(), with_result=True))
    assert lines[-1].endswith(f"twingraph resume {view.record.id}")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (-1, "0ms"), (0.12, "120ms"), (1.25, "1.2s"), (59.96, "1m00s"), (3599.9, "1h00m"), (90000, "1d01h")],
)
def test_durations(value: float | None, text: str) -> None:
    assert seconds(value) == text


def test_texts_are_cut_by_columns_and_lose_their_control_characters() -> None:
    assert cut("数据清洗", 5) == "数据…"
    assert columns("e\u0301") == 1
    assert printable("a\x1b[2J\u202eb\t.") == "a\\x1b[2J\\u202eb    ."


def test_a_table_gives_way_in_one_column() -> None:
    rows = [[("id", ""), ("a long name indeed", ""), ("1", "")], [("id2", ""), ("b", ""), ("22", "")]]
    assert text_of(table(rows, 20, grow=1)) == ["id   a long nam…  1", "id2  b            22"]


def test_a_node_name_is_quoted_for_the_shell() -> None:
    assert quoted("node_1") == "node_1"
    assert quoted("a[1]") == "'a[1]'"
    assert quoted("it's") == "'it'\\''s'"


def test_times_of_a_running_execution_go_on() -> None:
    view = a_map(1, 3)
    early = text_of(draw(tree_of(view), at(2), make_surface(), width=80, height=9))[0]
    late = text_of(draw(tree_of(view), at(2) + timedelta(seconds=5), make_surface(), width=80, height=9))[0]
    assert early.endswith("2.0s")
    assert late.endswith("7.0s")
