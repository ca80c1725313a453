"""The frame of the program: words, help, errors and exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.cli.double import (
    MemoryBackend,
    MemoryReader,
    at,
    failed_tour,
    make_console,
    make_log,
    make_view,
    written,
)
from twingraph.cli.entry import main
from twingraph.cli.parser import COMMANDS
from twingraph.core.statuses import ExecutionStatus
from twingraph.settings import Settings


def go(*words: str, backend: MemoryBackend | None = None) -> tuple[int, str, str]:
    console = make_console()
    code = main(words, backend=backend or MemoryBackend(), console=console)
    return code, written(console.out), written(console.err)


def with_tour() -> MemoryBackend:
    return MemoryBackend(reader=MemoryReader(views=[failed_tour()], said=[make_log(1, "hello", "node6")]))


def test_without_words_the_commands_are_listed() -> None:
    code, out, _ = go()
    assert code == 0
    assert all(f"  {name}" in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example_and_json(name: str) -> None:
    code, out, _ = go(name, "--help")
    assert code == 0
    assert f"example:\n  twingraph {name}" in out
    assert "--json" in out
    assert "--home DIR" in out


@pytest.mark.parametrize(
    "words", [["dev"], ["shwo"], ["--nope"], ["show"], ["show", "last", "--nope"], ["logs", "a", "b"]]
)
def test_wrong_words_are_wrong_use(words: list[str]) -> None:
    code, out, err = go(*words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")


def test_a_command_with_a_slip_is_named_rightly() -> None:
    assert "did you mean 'show'?" in go("shwo")[2]


def test_an_unknown_id_is_wrong_use_with_near_ones() -> None:
    code, _, err = go("show", "exec-0jz3m9q2t7k4w1vx", backend=with_tour())
    assert code == 2
    assert "exec-0jz3m9q2t7k4w1vh" in err


def test_a_setting_that_cannot_be_used_is_wrong_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINGRAPH_WORKERS", "many")
    code, _, err = go("executions")
    assert code == 2
    assert "TWINGRAPH_WORKERS: must be a whole number from 1, not 'many'" in err


class BrokenBackend(MemoryBackend):
    def open_reader(self, settings: Settings) -> MemoryReader:
        raise RuntimeError("the floor is gone")


def test_an_error_of_ours_is_short_and_says_how_to_see_more(monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = go("executions", backend=BrokenBackend())
    assert code == 1
    assert "internal error: RuntimeError: the floor is gone" in err
    assert "TWINGRAPH_LOG_LEVEL=debug" in err
    assert "Traceback" not in err
    monkeypatch.setenv("TWINGRAPH_LOG_LEVEL", "debug")
    with pytest.raises(RuntimeError):
        go("executions", backend=BrokenBackend())


def test_executions_as_a_document() -> None:
    document = json.loads(go("executions", "--json", backend=with_tour())[1])
    assert document["total"] == 1
    assert document["executions"][0]["error"]["node_id"] == "node7"
    assert document["executions"][0]["outputs"] is None


def test_documents_have_the_keys_that_programs_rely_on() -> None:
    (failed,) = json.loads(go("executions", "--json", backend=with_tour())[1])["executions"]
    assert set(failed["error"]) == {"code", "error_type", "message", "node_id", "traceback", "exit_code"}
    (line, *_) = (document := json.loads(go("logs", "last", "--json", backend=with_tour())[1]))["logs"]
    assert set(document) == {"logs", "total", "next_cursor"}
    keys = ("seq", "timestamp", "level", "component_id", "node_id", "attempt", "stream", "message")
    assert set(line) == set(keys)


def test_what_still_runs_has_neither_an_end_nor_a_duration() -> None:
    reader = MemoryReader(views=[make_view([], ExecutionStatus.RUNNING)])
    (running,) = json.loads(go("executions", "--json", backend=MemoryBackend(reader=reader))[1])["executions"]
    assert (running["completed_at"], running["duration"], running["outputs"], running["error"]) == (None,) * 4


def test_executions_says_what_stopped() -> None:
    reader = MemoryReader(views=[make_view([], ExecutionStatus.RUNNING, owner="gone")])
    _, out, err = go("executions", backend=MemoryBackend(reader=reader))
    assert "running (its process is gone)" in out
    assert "twingraph resume --all" in err


def test_show_tells_tree_error_and_next_step() -> None:
    code, out, _ = go("show", "last", backend=with_tour())
    assert code == 0
    assert "✗ node7   failed" in out
    assert "ValueError: 32 is too heavy" in out
    assert "twingraph resume exec-0jz3m9q2t7k4w1vh --code current" in out
    assert "\x1b" not in out
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_show_of_a_node_tells_what_it_was_given_and_its_logs() -> None:
    out = go("show", "last", "--node", "node7", backend=with_tour())[1]
    assert "given\n  output = 32" in out
    assert "32 is too heavy" in out
    assert "hello" in go("show", "last", "--node", "node6", backend=with_tour())[1]


def test_a_component_names_its_only_node_and_an_unknown_one_is_wrong_use() -> None:
    assert go("show", "last", "--node", "carry", backend=with_tour())[1].startswith("node7")
    code, _, err = go("show", "last", "--node", "node77", backend=with_tour())
    assert code == 2
    assert "near: node7" in err


def test_show_json_holds_the_nodes() -> None:
    document = json.loads(go("show", "last", "--json", backend=with_tour())[1])
    assert document["status"] == "failed"
    assert [node["status"] for node in document["nodes"]].count("skipped") == 3
    assert document["nodes"][5]["outputs"] == {"output": 32}


def test_show_writes_the_page(tmp_path: Path) -> None:
    code, _, _ = go("show", "last", "--html", str(tmp_path / "r.html"), backend=with_tour())
    assert code == 0
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert go("show", "last", "--html", str(tmp_path / "no" / "r.html"), backend=with_tour())[0] == 2


def test_logs_by_node_and_level() -> None:
    backend = with_tour()
    backend.reader.said.append(make_log(2, "beware", "node7", level="warning"))
    assert go("logs", "last", "--level", "warning", backend=backend)[1].endswith("node7 │ beware\n")
    assert "beware" not in go("logs", "last", "--node", "node6", backend=backend)[1]
    assert go("logs", "last", "--level", "loud", backend=backend)[0] == 2
    assert json.loads(go("logs", "last", "--json", backend=backend)[1])["total"] == 2


def test_logs_as_a_document_are_in_order_of_time_on_all_pages() -> None:
    backend = with_tour()
    late_ones = [replace(make_log(seq, f"{seq}", "node7"), timestamp=at(9000 - seq)) for seq in range(1, 2500)]
    backend.reader.said[:] = late_ones
    logs = json.loads(go("logs", "last", "--json", backend=backend)[1])["logs"]
    assert [line["message"] for line in logs] == [f"{seq}" for seq in range(2499, 0, -1)]


def test_logs_follows_until_the_execution_is_over() -> None:
    assert "hello" in go("logs", "last", "-f", backend=with_tour())[1]


def test_cancel_stops_a_running_one_and_refuses_a_finished_one() -> None:
    backend = MemoryBackend(reader=MemoryReader(views=[make_view([], ExecutionStatus.RUNNING, owner="alive")]))
    assert go("cancel", "last", backend=backend)[0] == 0
    assert backend.reader.views[0].record.status is ExecutionStatus.CANCELLED
    assert go("cancel", "last", backend=backend)[0] == 0
    assert go("cancel", "last", backend=with_tour())[0] == 1


def test_doctor_names_what_stopped_and_is_content(tmp_path: Path) -> None:
    reader = MemoryReader(views=[make_view([], ExecutionStatus.PAUSED, reason="interrupted")])
    code, out, _ = go("doctor", "--home", str(tmp_path), backend=MemoryBackend(reader=reader))
    assert code == 0
    assert "1 stopped: tour" in out
    assert "twingraph resume --all" in out


def test_doctor_fails_when_the_home_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    code, out, _ = go("doctor", "--home", str(tmp_path / "home"), "--json")
    checks = {check["name"]: check["state"] for check in json.loads(out)["checks"]}
    assert code == 1
    assert checks["home"] == "broken"


def test_new_writes_a_file_that_compiles_and_never_replaces_one(tmp_path: Path) -> None:
    file = tmp_path / "hello.py"
    code, out, err = go("new", str(file))
    assert code == 0
    assert out == f"wrote {file}\n"
    assert f"twingraph run {file}" in err
    text = file.read_text(encoding="utf-8")
    compile(text, str(file), "exec")
    assert "{name}" not in text
    assert go("new", str(tmp_path / "hello"))[0] == 2
    assert file.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(("typed", "better"), [("my-flow", "my_flow"), ("2nd", "flow_2nd"), ("class", "flow_class")])
def test_new_proposes_a_name_that_python_can_import(typed: str, better: str) -> None:
    code, _, err = go("new", typed)
    assert code == 2
    assert f"twingraph new {better}" in err
