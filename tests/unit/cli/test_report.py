"""The page: it holds what happened, escapes what it is given, and opens whatever the size."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.unit.cli.double import at, error_record, failed_tour, make_log, make_node, make_view
from twingraph.cli.report import render
from twingraph.cli.report.graph import draw_graph
from twingraph.cli.report.layout import lay_out
from twingraph.cli.report.timeline import Scale, draw_timeline
from twingraph.core.execution import AttemptView, ExecutionView, LogRecord
from twingraph.core.statuses import ExecutionStatus, NodeStatus

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&"


def page(view: ExecutionView, logs: tuple[LogRecord, ...] = ()) -> str:
    return render(view, logs, json.loads, now=at(60))


class Seen(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.nodes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "action"):
                self.links.append(value or "")
            if name == "data-node":
                self.nodes.add(value or "")


def data_of(text: str) -> dict[str, dict[str, object]]:
    found = re.search(r'<script type="application/json" id="nodes">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert isinstance(data, dict)
    return data


def test_the_page_tells_error_graph_and_details() -> None:
    text = page(failed_tour(), (make_log(1, "hello from six", "node6"),))
    data = data_of(text)
    assert "ValueError: 32 is too heavy" in text
    assert "hello from six" in text
    assert Seen(text).nodes >= {f"node{n}" for n in range(1, 11)}
    assert data["node7"]["given"] == [["output", "32"]]
    assert "executors/runner.py" not in text


def test_the_page_needs_no_network() -> None:
    seen = Seen(page(failed_tour()))
    assert seen.links == []
    assert "link" not in seen.tags


def test_hostile_names_and_values_stay_text() -> None:
    error = replace(error_record(HOSTILE, HOSTILE), traceback=f"Traceback\n{HOSTILE}")
    view = make_view(
        [make_node(HOSTILE, NodeStatus.FAILED, error=error, output=HOSTILE)],
        ExecutionStatus.FAILED,
        name=HOSTILE,
        inputs={HOSTILE: HOSTILE},
        error=error,
    )
    text = page(view, (make_log(1, HOSTILE, HOSTILE),))
    seen = Seen(text)
    assert "img" not in seen.tags
    assert seen.tags.count("script") == 2
    assert HOSTILE in seen.nodes
    assert HOSTILE in data_of(text)


@pytest.mark.parametrize("nested", [True, False])
def test_ten_thousand_nodes_open(nested: bool) -> None:
    nodes = [make_node("squares", kind="map", end=9)]
    nodes += [
        make_node(
            f"n{n}",
            NodeStatus.FAILED if n == 5000 else NodeStatus.COMPLETED,
            container="squares" if nested else None,
            parents=[f"n{n - 100}"] if n >= 100 and not nested else (),
            component=f"step{n // 100}",
            output="x" * 1000,
        )
        for n in range(10_000)
    ]
    text = page(make_view(nodes))
    assert len(text.encode()) < 5_000_000
    assert Seen(text).tags.count("g") <= 300
    assert "n5000" in data_of(text), "the failed one has its details"
    unknown = Seen(text).nodes - data_of(text).keys()
    assert len(unknown) == 0, "all that can be clicked has details"


def test_a_single_failure_shows_in_the_bar_of_a_map() -> None:
    children = [
        make_node(f"s[{n}]", NodeStatus.FAILED if n == 5 else NodeStatus.COMPLETED, container="s") for n in range(5000)
    ]
    (box,) = draw_graph([make_node("s", kind="map"), *children], {"s": children}).boxes
    parts = {status: width for status, _, width in box.bar}
    assert parts["failed"] >= 3
    assert sum(parts.values()) <= 184


def test_an_edge_goes_from_an_earlier_layer_to_a_later_one() -> None:
    layout = lay_out(["a", "b", "c", "d"], [("a", "b"), ("b", "c"), ("a", "c"), ("x", "d")])
    assert [layout.at[node][0] for node in "abcd"] == [0, 1, 2, 0]
    assert [layer for layer, _ in layout.ways["a", "c"]] == [0, 1, 2]


def test_boxes_of_a_layer_do_not_overlap() -> None:
    nodes = [f"n{n}" for n in range(60)]
    edges = [(f"n{n // 3}", f"n{n}") for n in range(1, 60)]
    layout = lay_out(nodes, edges)
    by_layer: dict[int, list[float]] = {}
    for layer, spot in layout.at.values():
        by_layer.setdefault(layer, []).append(spot)
    for spots in by_layer.values():
        spots.sort()
        assert all(b - a > 0.99 for a, b in itertools.pairwise(spots))


def test_a_tree_is_drawn_without_crossings() -> None:
    layout = lay_out(["r", "x", "y", "y1", "x1"], [("r", "x"), ("r", "y"), ("y", "y1"), ("x", "x1")])
    assert (layout.at["x"][1] < layout.at["y"][1]) == (layout.at["x1"][1] < layout.at["y1"][1])


def test_a_cycle_does_not_hang_the_drawing() -> None:
    assert set(lay_out(["a", "b"], [("a", "b"), ("b", "a")]).at) == {"a", "b"}


def test_long_gaps_are_folded_and_the_rest_keeps_its_proportions() -> None:
    scale = Scale([(0, 1), (100, 101)])
    assert scale.percent(1) == pytest.approx(scale.percent(101) - scale.percent(100))
    assert scale.percent(1) > 45
    assert scale.percent(101) == pytest.approx(100)
    assert scale.moment(scale.percent(100.5)) == pytest.approx(100.5)


def test_each_attempt_is_a_bar_and_a_fold_is_named() -> None:
    attempts = [
        AttemptView(number=n, status=s, started_at=at(a), ended_at=at(b), cpu=None, memory=None, worker=None)
        for n, s, a, b in [(1, "failed", 0, 1), (2, "completed", 60, 61)]
    ]
    timeline = draw_timeline([make_node("n", end=61, attempts=attempts)], at(61))
    assert [bar.status for bar in timeline.rows[0].bars] == ["failed", "completed"]
    assert timeline.folds[0].text == "59.0s in which nothing ran"


def test_items_stand_below_their_map() -> None:
    nodes = [
        make_node("s", kind="map", start=0, end=5),
        make_node("other", start=1, end=2),
        make_node("s[0]", container="s", start=3, end=4),
    ]
    assert [row.id for row in draw_timeline(nodes, at(5)).rows] == ["s", "s[0]", "other"]


def test_a_run_without_nodes_has_a_page() -> None:
    assert "No node is known yet." in page(make_view([], ExecutionStatus.RUNNING, owner="gone"))
