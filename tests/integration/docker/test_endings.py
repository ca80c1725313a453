"""However a container ends, its node tells why, and nothing of it is left."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.docker import Engine, Runs, only_with_docker
from tests.support.files import words
from twingraph import component

pytestmark = [only_with_docker, pytest.mark.timeout(120)]


@component
def leaves(code: int) -> None:
    import os

    print("about to leave")
    print("unless", end="", flush=True)
    os.write(2, b"a last word\n")
    os._exit(code)


def test_an_exit_code_and_the_last_lines(runs: Runs, docker_engine: Engine) -> None:
    handle = runs.begin(leaves, {"code": 7})
    error = runs.node(handle).error
    assert error is not None
    assert (error.code, error.exit_code) == ("crashed", 7)
    assert "exit code 7" in error.message
    for said in ("about to leave", "unless", "a last word"):
        assert said in error.message
    assert docker_engine.none_left(handle.id)


@component
def faults() -> None:
    import ctypes

    ctypes.string_at(0)


def test_a_segfault_with_its_place(runs: Runs) -> None:
    error = runs.run(faults).error
    assert error is not None
    assert (error.code, error.exit_code) == ("crashed", 139)
    assert "SIGSEGV" in error.message
    assert "Segmentation fault" in (error.traceback or "")


@component
def hungry(megabytes: int) -> int:
    return len(b"x" * (megabytes << 20))


@component
def hungry_child(megabytes: int) -> int:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", f"b'x' * ({megabytes} << 20)"], check=True)
    return 1


@component
def forgiving(megabytes: int) -> str:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", f"b'x' * ({megabytes} << 20)"], check=False)
    return "never mind"


@pytest.mark.parametrize("what", [hungry, hungry_child])
def test_out_of_memory_is_told_as_such(runs: Runs, what: Any) -> None:
    node = runs.run(what, {"megabytes": 300}, platform_config={"memory": "64Mi"})
    assert node.error is not None
    assert (node.error.code, node.error.error_type) == ("oom", "MemoryError")
    assert "64Mi" in node.error.message
    assert "CalledProcessError" in node.error.message or what is hungry
    assert node.attempts[0].status == "oom"


def test_who_can_do_without_the_child_completes(runs: Runs) -> None:
    assert runs.value(forgiving, {"megabytes": 300}, platform_config={"memory": "64Mi"}) == "never mind"


def test_the_next_attempt_may_use_more(runs: Runs) -> None:
    policy = {"max_attempts": 3, "initial_delay": 0.01, "on_oom": {"memory": "x8", "max_memory": "1G"}}
    node = runs.run(hungry, {"megabytes": 100}, platform_config={"memory": "64Mi"}, retry_policy=policy)
    assert [attempt.status for attempt in node.attempts] == ["oom", "completed"]
    assert (node.attempts[1].memory or 0) > 100 << 20


@component
def sleeps(deaf: bool) -> None:
    import signal
    import time

    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("asleep", flush=True)
    time.sleep(60)


@pytest.mark.parametrize("deaf", [False, True])
def test_a_cancel_reaches_the_container_within_two_seconds(runs: Runs, docker_engine: Engine, deaf: bool) -> None:
    handle = runs.begin(sleeps, {"deaf": deaf})
    docker_engine.running(handle.id)
    while not any(record.message == "asleep" for record in runs.logs(handle)):
        time.sleep(0.02)
    asked = time.monotonic()
    handle.cancel()
    while docker_engine.containers(handle.id, running=True):
        time.sleep(0.02)
    took = time.monotonic() - asked
    assert handle.wait(10)
    assert handle.status == "cancelled"
    assert docker_engine.none_left(handle.id)
    assert took < 10  # 2 s are promised, which a busy machine may miss; see docs/proofs


@pytest.mark.parametrize("deaf", [False, True])
def test_time_is_up(runs: Runs, docker_engine: Engine, deaf: bool) -> None:
    handle = runs.begin(sleeps, {"deaf": deaf}, timeout=0.5)
    error = runs.node(handle).error
    assert error is not None
    assert (error.code, error.error_type) == ("timeout", "TimeoutError")
    assert docker_engine.none_left(handle.id)


def test_time_is_up_before_it_begins(runs: Runs, docker_engine: Engine) -> None:
    handle = runs.begin(sleeps, {"deaf": False}, start_timeout=0.01)
    error = runs.node(handle).error
    assert error is not None
    assert error.code == "start_timeout"
    assert docker_engine.none_left(handle.id)


@component
def counts_lives(folder: str) -> int:
    import os
    import time

    place = os.path.join(folder, "lives")
    with open(place, "a") as file:
        file.write("x")
    with open(place) as file:
        lives = len(file.read())
    if lives == 1:
        time.sleep(60)
    return lives


@pytest.mark.parametrize("how", [("kill",), ("rm", "--force"), ("stop", "--time", "5")])
def test_one_that_somebody_else_ends_runs_again(runs: Runs, docker_engine: Engine, tmp_path: Any, how: Any) -> None:
    handle = runs.begin(counts_lives, {"folder": "/there"}, platform_config={"volumes": {str(tmp_path): "/there"}})
    name = docker_engine.running(handle.id)
    while not words(tmp_path / "lives"):
        time.sleep(0.02)
    runs.begun(handle)  # else what it had done was no attempt
    docker_engine.ask(*how, name)
    node = runs.node(handle)
    assert (node.status, [attempt.status for attempt in node.attempts]) == ("completed", ["lost", "completed"])
    assert (tmp_path / "lives").read_text() == "xx"


@component
def large(size: int, given: bytes) -> dict[str, Any]:
    return {"data": b"y" * size, "numbers": list(range(30_000)), "given": len(given), "back": given}


def test_large_values_go_in_and_out(runs: Runs) -> None:
    handle = runs.begin(large, {"size": 20_000_000, "given": b"x" * 5_000_000})
    node = runs.node(handle)
    assert node.status == "completed", node.error
    outputs = {output.name: output for output in node.outputs}
    values = runs.runtime.blobs
    from twingraph.core.codec import decode

    assert handle.result is not None
    result = decode(handle.result, blobs=values)
    assert result["given"] == 5_000_000
    assert result["numbers"][-1] == 29_999
    assert (len(result["data"]), result["back"]) == (20_000_000, b"x" * 5_000_000)
    assert outputs["data"].size > 20_000_000


@component
def secretive(token: str, folder: str) -> str:
    import os
    import subprocess
    import time

    print("python says " + token)
    subprocess.run(["sh", "-c", "echo shell says $KEPT"], check=True)
    while not os.path.exists(folder + "/seen"):
        time.sleep(0.02)
    return token + os.environ["KEPT"]


def test_secrets_are_seen_by_nobody(
    runs: Runs, docker_engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("TWINGRAPH_SECRET_TOKEN", "s3cr3t-token")
    monkeypatch.setenv("TWINGRAPH_SECRET_KEPT", "k3pt-value")
    handle = runs.begin(
        secretive,
        {"token": "${secret:TOKEN}", "folder": "/there"},
        environment={"KEPT": "${secret:KEPT}", "OPEN": "yes"},
        platform_config={"volumes": {str(tmp_path): "/there"}},
    )
    told = docker_engine.ask("inspect", docker_engine.running(handle.id))
    (tmp_path / "seen").touch()
    node = runs.node(handle)
    assert node.status == "completed", node.error
    said = [record.message for record in runs.logs(handle)]
    assert "OPEN=yes" in told
    assert {"python says ***", "shell says ***"} <= set(said)
    assert not any(value in text for value in ("s3cr3t", "k3pt") for text in (told, *said, handle.result or ""))
