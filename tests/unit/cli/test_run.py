"""`run` and `resume`: the exit code, what goes to which stream, inputs, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.cli.double import MemoryBackend, failed_tour, make_console, make_log, make_node, make_view, written
from twingraph.cli.console import Console
from twingraph.cli.entry import main
from twingraph.core.errors import Problem, ValidationError
from twingraph.core.execution import ExecutionView
from twingraph.core.statuses import ExecutionStatus, NodeStatus

Go = Callable[..., tuple[int, str, str]]


TOUR = """
from twingraph import Workflow

wf = Workflow("tour").add_input("text", schema={"type": "string"}).add_input("n", default=3)
"""


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryBackend]:
    """Nothing runs; the workflow stands in a file."""
    (tmp_path / "tour.py").write_text(TOUR)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWINGRAPH_PROGRESS", "plain")
    path, before = list(sys.path), set(sys.modules)
    yield MemoryBackend()
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def go(backend: MemoryBackend) -> Go:
    def run(*words: str, console: Console | None = None) -> tuple[int, str, str]:
        console = console or make_console()
        code = main(words, backend=backend, console=console)
        return code, written(console.out), written(console.err)

    return run


def done() -> ExecutionView:
    return make_view([make_node("load", output=[1])], result=256)


def test_a_completed_run_gives_its_result_on_stdout_alone(go: Go, backend: MemoryBackend) -> None:
    backend.engine.next_view = done()
    code, out, err = go("run", "tour.py")
    assert (code, out) == (0, "256\n")
    assert "load completed 100ms (1/1)" in err
    assert "twingraph show last" in err
    assert backend.engine.closed


def test_json_is_one_document_on_stdout(go: Go, backend: MemoryBackend) -> None:
    backend.engine.next_view = done()
    code, out, _ = go("run", "tour.py", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["execution_id"] == backend.engine.next_view.record.id
    assert document["status"] == "completed"
    assert document["started_at"] == "2026-01-31T12:00:00Z"
    assert document["duration"] == 1.5
    assert document["outputs"] == {"output": 256}
    assert set(document["progress"]) == {
        "total_nodes",
        "completed_nodes",
        "running_nodes",
        "failed_nodes",
        "skipped_nodes",
    }


def test_a_failed_run_shows_the_authors_frames_and_what_to_do(go: Go, backend: MemoryBackend) -> None:
    backend.engine.next_view = failed_tour()
    code, out, err = go("run", "tour.py")
    assert (code, out) == (1, "")
    assert "node node7 (carry), attempt 1" in err
    assert "given output = 32" in err
    assert 'File "tour.py", line 21, in carry' in err
    assert "runner.py" not in err
    assert "ValueError: 32 is too heavy" in err
    assert "twingraph resume last --code current" in err
    assert "twingraph logs last --node node7" in err


def test_inputs_are_json_when_they_parse_else_text(go: Go, backend: MemoryBackend, tmp_path: Path) -> None:
    backend.engine.next_view = done()
    file = tmp_path / "inputs.json"
    file.write_text('{"a": 1, "b": [2]}')
    go("run", "tour.py", "-f", str(file), "-i", "b=true", "-i", "c=hello there", "-i", "d=", "--refresh")
    _, inputs, refresh = backend.engine.submitted[0]
    assert inputs == {"a": 1, "b": True, "c": "hello there", "d": ""}
    assert refresh


@pytest.mark.parametrize("words", [["-i", "novalue"], ["-i", "=1"], ["-i", "a=1", "-i", "a=2"], ["-f", "missing.json"]])
def test_inputs_that_cannot_be_read_are_wrong_use(go: Go, backend: MemoryBackend, words: list[str]) -> None:
    assert go("run", "tour.py", *words)[0] == 2
    assert not backend.engine.submitted


def test_wrong_inputs_are_told_all_at_once_with_what_is_taken(go: Go, backend: MemoryBackend) -> None:
    problems = [Problem(message="is missing", field="text"), Problem(message="is not an input", field="txt")]
    backend.engine.refuses = ValidationError(problems)
    code, _, err = go("run", "tour.py", "-i", "txt=1")
    assert code == 2
    assert "text: is missing" in err
    assert "txt: is not an input" in err
    assert "text: string, required" in err
    assert "n: any value, default 3" in err


def interrupting(times: int) -> list[Callable[[], None]]:
    return [lambda: os.kill(os.getpid(), signal.SIGINT) for _ in range(times)]


def test_the_first_interrupt_pauses_and_says_how_to_go_on(go: Go, backend: MemoryBackend) -> None:
    backend.engine.next_view = make_view(
        [make_node("load", NodeStatus.RUNNING)], ExecutionStatus.RUNNING, owner="alive"
    )
    backend.engine.steps = interrupting(1)
    code, _, err = go("run", "tour.py")
    assert code == 130
    assert backend.engine.handle is not None
    assert backend.engine.handle.interrupts == [False]
    assert f"twingraph resume {backend.engine.next_view.record.id}" in err
    assert "paused (interrupted)" in err


def test_the_second_interrupt_kills(go: Go, backend: MemoryBackend) -> None:
    backend.engine.next_view = make_view([], ExecutionStatus.RUNNING, owner="alive")
    backend.engine.steps = interrupting(2)
    backend.engine.heeds = 2
    go("run", "tour.py")
    assert backend.engine.handle is not None
    assert backend.engine.handle.interrupts == [False, True]


def test_the_former_handler_of_interrupts_is_put_back(go: Go, backend: MemoryBackend) -> None:
    before = signal.getsignal(signal.SIGINT)
    backend.engine.next_view = done()
    go("run", "tour.py")
    assert signal.getsignal(signal.SIGINT) is before


def test_prints_stand_before_the_completion_of_their_node(go: Go, backend: MemoryBackend) -> None:
    backend.reader.said = [make_log(1, "reading\nmore")]
    backend.engine.next_view = done()
    _, _, err = go("run", "tour.py")
    assert "load │ reading\n" in err
    assert "load │ more\n" in err
    assert err.index("load │ more") < err.index("load completed")


def test_off_a_terminal_no_control_character_is_written(go: Go, backend: MemoryBackend) -> None:
    backend.reader.said = [make_log(1, "\x1b[31mred\x07 \u202e")]
    backend.engine.next_view = done()
    _, _, err = go("run", "tour.py")
    assert all(c.isprintable() or c == "\n" for c in err)


def test_a_stream_without_unicode_gets_ascii(go: Go, backend: MemoryBackend) -> None:
    backend.reader.said = [make_log(1, "数据 ok")]
    backend.engine.next_view = failed_tour()
    code, _, err = go("run", "tour.py", console=make_console(encoding="ascii"))
    assert code == 1
    assert "x tour failed" in err
    assert r"\u6570\u636e ok" in err


def test_resume_takes_the_code_that_is_asked_for(go: Go, backend: MemoryBackend) -> None:
    backend.reader.put(failed_tour())
    backend.engine.next_view = done()
    code, out, _ = go("resume", "last", "--code", "current")
    assert (code, out) == (0, "256\n")
    assert backend.engine.resumed == [(failed_tour().record.id, "current")]


@pytest.mark.parametrize("words", [[], ["last", "--all"]])
def test_resume_wants_one_or_all(go: Go, words: list[str]) -> None:
    assert go("resume", *words)[0] == 2


def test_resume_all_takes_what_stands_still_oldest_first(go: Go, backend: MemoryBackend) -> None:
    gone = make_view([], ExecutionStatus.RUNNING, id="exec-b", owner="gone", created=5)
    paused = make_view([], ExecutionStatus.PAUSED, id="exec-a", reason="interrupted", created=1)
    alive = make_view([], ExecutionStatus.RUNNING, id="exec-c", owner="alive", created=9)
    for view in (paused, gone, alive, failed_tour()):
        backend.reader.put(view)
    backend.engine.next_view = done()
    go("resume", "--all")
    assert [resumed for resumed, _ in backend.engine.resumed] == ["exec-a", "exec-b"]
