"""The view of a run in a notebook, with a stand-in for the place below the cell."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.unit.cli.double import MemoryReader, at, failed_tour, make_log, make_node, make_view, tree_of
from twingraph.cli.display.notebook import NotebookWatch, in_kernel, page
from twingraph.core.statuses import ExecutionStatus, NodeStatus


class Cell:
    """What stands below a cell, and who put it there."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.threads: list[str] = []
        self.replaced = threading.Event()

    def show(self, text: str) -> object:
        self.put(text)
        return self.put

    def put(self, text: str) -> None:
        self.texts.append(text)
        self.threads.append(threading.current_thread().name)
        if len(self.texts) > 1:
            self.replaced.set()


def running() -> MemoryReader:
    nodes = [make_node("load"), make_node("train", NodeStatus.RUNNING, parents=["load"], end=None)]
    return MemoryReader(views=[make_view(nodes, ExecutionStatus.RUNNING, name="nightly")])


def test_it_stands_below_the_cell_at_once_and_is_replaced_from_a_thread() -> None:
    cell, reader = Cell(), running()
    watch = NotebookWatch(reader, reader.views[0].record.id, show=cell.show, tick=0.001)  # type: ignore[arg-type]
    assert cell.threads[0] == threading.current_thread().name
    assert "nightly" in cell.texts[0]
    reader.said = [make_log(1, "epoch 1", "train")]
    assert cell.replaced.wait(10)
    assert cell.threads[1] == "twingraph-display"
    record = replace(reader.views[0].record, status=ExecutionStatus.COMPLETED)
    reader.put(replace(reader.views[0], record=record))
    watch.finish()
    assert "completed" in cell.texts[-1]
    assert "epoch 1" in cell.texts[-1]


def test_what_has_not_changed_is_not_sent_again() -> None:
    cell = Cell()
    reader = MemoryReader(views=[failed_tour()])
    watch = NotebookWatch(reader, reader.views[0].record.id, show=cell.show, tick=60)  # type: ignore[arg-type]
    watch.finish()
    watch._draw()
    assert len(cell.texts) == 2


def test_a_view_that_cannot_be_drawn_leaves_the_run_alone() -> None:
    reader = running()

    def broken(text: str) -> None:
        raise RuntimeError("the front end is gone")

    watch = NotebookWatch(reader, reader.views[0].record.id, show=lambda text: broken, tick=60)
    reader.said = [make_log(1, "more")]
    watch.finish()


def test_nodes_have_a_dot_a_time_and_their_error() -> None:
    text = page(tree_of(failed_tour()), [], at(3))
    assert text.count('title="completed"') == 6
    assert "ValueError: 32 is too heavy" in text
    assert "twingraph show exec-0jz3m9q2t7k4w1vh" in text
    assert "80ms" in text


def test_a_container_says_how_its_children_stand() -> None:
    nodes = [make_node("all", NodeStatus.RUNNING, kind="map", end=None)]
    nodes += [make_node(f"all[{n}]", container="all") for n in range(40)]
    text = page(tree_of(make_view(nodes, ExecutionStatus.RUNNING)), [], at(3))
    assert "40/40 · 40 completed" in text
    assert text.count("<div") < 12


def test_a_long_run_shows_its_most_urgent_rows_and_counts_the_rest() -> None:
    nodes = [make_node(f"step-{n}") for n in range(500)] + [make_node("bad", NodeStatus.FAILED)]
    text = page(tree_of(make_view(nodes, ExecutionStatus.RUNNING)), [], at(3))
    assert ">✗</span> bad" in text
    assert "485 more: 485 completed" in text


def test_what_users_wrote_is_text_and_not_markup() -> None:
    view = make_view([make_node("<script>")], ExecutionStatus.RUNNING, name="<b>&")
    text = page(tree_of(view), [make_log(1, "<img src=x>\x1b[31m", "<i>")], at(3))
    assert "<script>" not in text
    assert "<img" not in text
    assert "\x1b" not in text
    assert "&lt;b&gt;&amp;" in text


def test_colours_are_named_for_no_theme() -> None:
    """Neither black nor white, neither a background of its own."""
    text = page(tree_of(failed_tour()), [make_log(1, "hello")], at(3)).lower()
    assert not any(word in text for word in ("#fff", "#000", ":white", ":black"))


@pytest.mark.parametrize(
    ("shell", "kernel"), [(None, False), (SimpleNamespace(), False), (SimpleNamespace(kernel=object()), True)]
)
def test_a_notebook_is_a_shell_with_a_kernel(shell: object, kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert in_kernel() is kernel


def test_without_ipython_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not in_kernel()
