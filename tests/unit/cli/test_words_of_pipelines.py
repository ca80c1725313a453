"""What a person reads of pipelines: kinds, waits, reasons, and what was only looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.cli.double import MemoryBackend, MemoryReader, at, make_console, make_node, make_view, written
from twingraph.cli.display.notebook import page
from twingraph.cli.display.plain import PlainLog
from twingraph.cli.entry import main
from twingraph.cli.report.graph import draw_graph
from twingraph.cli.report.timeline import draw_timeline
from twingraph.cli.static_planning import static_lines
from twingraph.cli.words import component_and_kind, reason_word, waiting_words
from twingraph.core.execution import ExecutionView
from twingraph.core.static_plan import StaticNode, StaticPlan
from twingraph.core.statuses import ExecutionStatus, NodeStatus


def waiting() -> ExecutionView:
    signal = make_node("wait_for_signal", NodeStatus.RUNNING, kind="signal", attempts=(), end=None)
    signal = replace(signal, signal="approve", until=at(3600), place="letter.py:7")
    return make_view([make_node("draft"), signal], ExecutionStatus.RUNNING, owner="alive")


def go(*words: str, view: ExecutionView) -> str:
    console = make_console()
    assert main(words, backend=MemoryBackend(reader=MemoryReader(views=[view])), console=console) == 0
    return written(console.out) + written(console.err)


@pytest.mark.parametrize(
    ("component", "kind", "called", "words"),
    [
        ("clean", "task", True, "clean"),
        ("region", "scope", True, "region (pipeline)"),
        ("region", "scope", False, "region (workflow)"),
        ("sleep", "sleep", True, "sleep"),
        ("write", "side_effect", True, "write (side effect)"),
        ("audit", "detached", True, "audit (pipeline of its own)"),
    ],
)
def test_kinds_have_peoples_words(component: str, kind: str, called: bool, words: str) -> None:
    assert component_and_kind(component, kind, called=called) == words


def test_reasons_have_peoples_words() -> None:
    assert reason_word("upstream", "skipped") == "it needs what failed"
    assert reason_word("exec-1", "running") == "runs as exec-1"
    assert reason_word(None) == ""


def test_a_wait_on_another_day_says_which() -> None:
    assert waiting_words("sleep", None, at(0), at(0)).startswith("wakes at ")
    assert "2026-02-0" in waiting_words("sleep", None, at(3 * 86400), at(0))
    assert waiting_words("task", None, None, at(0)) == ""


def test_the_tree_says_what_is_waited_for_and_how_to_give_it() -> None:
    shown = go("show", "last", view=waiting())
    assert "waits for signal approve until" in shown
    assert "twingraph signal exec-0jz3m9q2t7k4w1vh approve" in shown


def test_a_node_says_it_too_with_the_line_that_called_it() -> None:
    shown = go("show", "last", "--node", "wait_for_signal", view=waiting())
    assert "letter.py:7" in shown
    assert "twingraph signal exec-0jz3m9q2t7k4w1vh approve" in shown


def test_a_node_has_its_hash_and_cache_key() -> None:
    node = replace(make_node("draft"), identity=lambda: ("key0", "hash0"))
    shown = go("show", "last", "--node", "draft", view=make_view([node]))
    assert "hash      hash0" in shown
    assert "cache key key0" in shown


def test_plain_lines_tell_a_wait_once() -> None:
    log, snapshot = PlainLog(), MemoryReader(views=[waiting()]).tree("exec-0jz3m9q2t7k4w1vh")
    lines = ["".join(part for part, _ in line) for line in (*log.lines(snapshot, at(1)), *log.lines(snapshot, at(2)))]
    assert sum("waits for signal approve" in line for line in lines) == 1


def test_a_notebook_shows_the_command() -> None:
    snapshot = MemoryReader(views=[waiting()]).tree("exec-0jz3m9q2t7k4w1vh")
    assert "twingraph signal exec-0jz3m9q2t7k4w1vh approve" in page(snapshot, [], at(1))


def test_a_signal_with_another_name_is_told_of() -> None:
    assert "it waits for approve" in go("signal", "last", "aprove", view=waiting())
    assert "it waits for" not in go("signal", "last", "approve", view=waiting())


def test_what_was_only_looked_at_is_dashed() -> None:
    second = replace(make_node("b", parents=["a"]), forced=("a",))
    third = make_node("c", parents=["a"])
    drawn = draw_graph([make_node("a"), second, third], {})
    assert sorted(way.dashed for way in drawn.lines) == [False, True]


def test_a_long_wait_is_folded_and_a_short_one_has_its_length() -> None:
    short = make_node("sleep", kind="sleep", attempts=(), start=0.1, end=1.0)
    long = make_node("sleep-2", kind="sleep", attempts=(), start=1.0, end=90_000.0)
    drawn = draw_timeline([make_node("a"), short, long, make_node("b", start=90_000.0, end=90_000.1)], at(0))
    bars = {row.id: row.bars[0] for row in drawn.rows}
    assert bars["sleep"].width > 60
    assert bars["sleep-2"].width < 10
    assert len(drawn.folds) == 1


def test_a_plan_names_its_signals_and_is_cut_when_it_is_long() -> None:
    nodes = [StaticNode(id="w", component="signal", kind="signal", signal="approve")]
    nodes += [StaticNode(id=f"step-{n}", component="step") for n in range(500)]
    lines = [
        "".join(part for part, _ in line) for line in static_lines(StaticPlan(name="p", nodes=tuple(nodes)), 120, [])
    ]
    assert any("signal approve" in line for line in lines)
    assert lines[-1].strip() == "… 401 more rows; --json gives all"
