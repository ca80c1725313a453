"""`signal`: what is sent, and to whom it cannot be."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.double import MemoryBackend, MemoryReader, failed_tour, make_console, make_view, written
from twingraph.cli.entry import main
from twingraph.core.statuses import ExecutionStatus

WAITING = "exec-0jz3m9q2t7k4w1vh"


def go(*words: str, over: bool = False) -> tuple[int, str, str, list[tuple[str, str, str]]]:
    view = failed_tour() if over else make_view([], ExecutionStatus.RUNNING)
    backend = MemoryBackend(reader=MemoryReader(views=[view]))
    console = make_console()
    code = main(("signal", *words), backend=backend, console=console)
    return code, written(console.out), written(console.err), backend.reader.signals


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "null"),
        (["3"], "3"),
        (["3 of them"], '"3 of them"'),
        (["true"], "true"),
        (['{"by": "Ada"}'], '{"by":"Ada"}'),
        ([""], '""'),
        (["NaNcy"], '"NaNcy"'),
    ],
)
def test_a_value_is_json_when_it_parses_else_text(words: list[str], text: str) -> None:
    code, out, _, sent = go("last", "approved", *words)
    assert code == 0
    assert sent == [(WAITING, "approved", text)]
    assert out.startswith("sent approved")


def test_as_a_document() -> None:
    code, out, _, _ = go(WAITING, "approved", "[1]", "--json")
    assert code == 0
    assert json.loads(out) == {"execution_id": WAITING, "signal": "approved", "value": [1]}


def test_an_unknown_id_is_wrong_use_with_near_ones() -> None:
    code, _, err, sent = go("exec-0jz3m9q2t7k4w1vx", "approved")
    assert (code, sent) == (2, [])
    assert WAITING in err


def test_an_execution_that_is_over_takes_none() -> None:
    code, _, err, sent = go("last", "approved", over=True)
    assert (code, sent) == (1, [])
    assert "has already ended (failed)" in err


@pytest.mark.parametrize("words", [["last"], ["last", " "], ["last", "a", "b", "c"]])
def test_wrong_words_are_wrong_use(words: list[str]) -> None:
    code, _, err, sent = go(*words)
    assert (code, sent) == (2, [])
    assert err.startswith("error: ")
