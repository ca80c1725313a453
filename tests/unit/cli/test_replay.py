"""`replay`: what was typed becomes one wish."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.cli.double import MemoryBackend, MemoryReader, failed_tour, make_console, make_node, make_view, written
from twingraph.cli.entry import main
from twingraph.cli.words import changes_words
from twingraph.core.records import Changes, GivenOutcome
from twingraph.core.wishes import Wish


def replay(*words: str) -> tuple[int, str, str, MemoryBackend]:
    backend = MemoryBackend(reader=MemoryReader(views=[failed_tour()]))
    backend.engine.next_view = make_view([make_node("load", output=[1])], result=256)
    console = make_console()
    code = main(("replay", "last", *words), backend=backend, console=console)
    return code, written(console.out), written(console.err), backend


@pytest.mark.parametrize(
    ("words", "wish"),
    [
        ([], Wish()),
        (["--from", "a", "--from", "b[1]"], Wish(start=("a", "b[1]"))),
        (["--failed", "-i", "n=3"], Wish(failed=True, inputs={"n": 3})),
        (["--node", "a", "-i", "day=2026-01-31"], Wish(node="a", inputs={"day": "2026-01-31"})),
        (["--output", 'a={"x": 1}', "--output", "m[k=1]=text=2"], Wish(outputs={"a": {"x": 1}, "m[k=1]": "text=2"})),
        (["--output", "a=[1]=2", "--output", 'b={"q": "m[1]=2"}'], Wish(outputs={"a": "[1]=2", "b": {"q": "m[1]=2"}})),
        (["--output", '"m[a]=b]"=x]=y', "-i", '"p=q"=1'], Wish(outputs={"m[a]=b]": "x]=y"}, inputs={"p=q": 1})),
    ],
)
def test_the_words_become_a_wish(words: list[str], wish: Wish) -> None:
    code, out, err, backend = replay(*words)
    assert (code, out) == (0, "256\n")
    assert backend.engine.replayed == [(failed_tour().record.id, wish, None)]
    assert backend.engine.closed
    assert f"{failed_tour().record.id} as exec-" in err


def test_a_debugger_takes_the_node_that_failed_and_runs_it_here() -> None:
    code, _, _, backend = replay("--debug")
    error = failed_tour().record.error
    assert error is not None
    assert (code, backend.debugs) == (0, True)
    assert backend.engine.replayed[0][1] == Wish(node=error.node_id)


def test_before_a_debugger_speaks_it_is_told_what_is_run() -> None:
    _, _, err, _ = replay("--debug", "--node", "load")
    assert err.startswith(f"replay load of {failed_tour().record.id} in this process\n")


def test_what_was_told_and_not_used_is_said_at_the_end() -> None:
    backend = MemoryBackend(reader=MemoryReader(views=[failed_tour()]))
    backend.engine.next_view = replace(make_view([make_node("load")], result=1), notes=("load was not used",))
    console = make_console()
    assert main(("replay", "last", "--output", "load=1", "--json"), backend=backend, console=console) == 0
    assert "note: load was not used" in written(console.err)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (Changes(alone="a", everything=True, inputs=("x",)), "a alone, with another input x"),
        (Changes(anew=("report",), inputs=("day", "currency")), "from report on, with other inputs day, currency"),
        (Changes(inputs=("a", "b", "c", "d", "e")), "with other inputs a, b, c and 2 more"),
        (Changes(given=(GivenOutcome(node="a"),)), "with another outcome of a"),
        (Changes(everything=True), "all of it"),
        (Changes(), "with other inputs"),  # as older versions recorded it
        (None, "what had finished is kept"),
    ],
)
def test_what_a_replay_does_is_said_with_what_was_changed(changes: Changes | None, said: str) -> None:
    assert changes_words(changes) == said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "a"], "give NODE=VALUE"),
        (["--output", "a=1", "--output", "a=2"], "'a' is given twice"),
        (["--node", "a", "--failed"], "a is run alone"),
        (["--debug", "--output", "a=1"], "node7 is run alone"),
        (["--debug", "--json"], "leave one of them out"),
        (["-i", "n"], "give key=value"),
        (["-i", '"n"'], "give key=value"),
        (["--output", '"n=3'], "give NODE=VALUE"),
        (["--output", "m[a]=b]=5"], "where does the name of the node end?"),
    ],
)
def test_what_does_not_go_together_is_wrong_use(words: list[str], said: str) -> None:
    code, out, err, backend = replay(*words)
    assert (code, out, backend.engine.replayed) == (2, "", [])
    assert said in err
