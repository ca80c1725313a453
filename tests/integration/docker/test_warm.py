"""One container serves many runs, and none of them sees another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.contained import wait_for
from tests.support.docker import IMAGE, Engine, Runs, only_with_docker
from twingraph import component, wiring

pytestmark = [only_with_docker, pytest.mark.timeout(120)]
WARM = {"platform_config": {"warm": True}}


@component
def leaves_traces(word: str) -> dict[str, Any]:
    """What it finds of others, and what it leaves for them."""
    import glob
    import os
    import subprocess
    import threading
    import time

    first = bytearray()
    for process in glob.glob("/proc/[0-9]*/environ"):
        with open(process, "rb") as file:
            first += file.read()
    others = [number for number in os.listdir("/proc") if number.isdigit() and int(number) not in (1, os.getpid())]
    found = {
        "host": os.uname().nodename,
        "environment": os.environ.get("LEFT"),
        "threads": threading.active_count(),
        "others": others,
        "folders": sorted(os.listdir("/.twingraph")),
        "secret": os.environ.get("KEPT"),
        "stdin": os.read(0, 100) == b"",
    }
    os.environ["LEFT"] = word
    os.chdir("/tmp")
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    subprocess.Popen(["sleep", "60"], start_new_session=True, close_fds=False)
    print("said " + word)
    os.write(1, b"written " + word.encode() + b"\n")
    return found


def test_runs_of_one_kind_share_a_container_and_nothing_else(runs: Runs, docker_engine: Engine) -> None:
    handles = []
    for word in ("one", "two", "three"):
        handle = runs.begin(leaves_traces, {"word": word}, **WARM)
        assert runs.node(handle).status == "completed", runs.view(handle).error
        handles.append(handle)
    seen = [runs.result(handle) for handle in handles]
    assert len({one["host"] for one in seen}) == 1
    for one in seen:
        assert (one["environment"], one["threads"], one["others"]) == (None, 1, [])
        assert one["stdin"] is True
    assert [one["folders"] for one in seen] == [["1"], ["2"], ["3"]]
    for handle, word in zip(handles, ("one", "two", "three"), strict=True):
        messages = [record.message for record in runs.logs(handle)]
        assert sorted(messages) == [f"said {word}", f"written {word}"]
    names = {attempt.worker for handle in handles for attempt in runs.view(handle).attempts}
    assert len(names) == 1
    assert names <= set(docker_engine.warm(runs.home))


@component
def looks_for(word: str, own: str) -> list[str]:
    """Every place of its container where somebody else's word could be: memory, variables, files."""
    import os

    needle = word[::-1].encode()
    found = []
    for number in [number for number in os.listdir("/proc") if number.isdigit()]:
        for name in ("environ", "cmdline"):
            with open(f"/proc/{number}/{name}", "rb") as file:
                if needle in file.read():
                    found.append(f"{number} {name}")
        if int(number) == os.getpid():
            continue
        with open(f"/proc/{number}/maps") as maps, open(f"/proc/{number}/mem", "rb", 0) as memory:
            for line in maps:
                where, rights = line.split()[:2]
                if "r" in rights and "[v" not in line:
                    start, end = (int(part, 16) for part in where.split("-"))
                    memory.seek(start)
                    if needle in memory.read(end - start):
                        found.append(f"{number} {line.strip()}")
    for folder, _, names in os.walk("/.twingraph"):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                if needle in file.read():
                    found.append(name)
    return found


def test_a_secret_is_nowhere_when_the_next_run_begins(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, docker_engine: Engine
) -> None:
    """The first process is searched too, from which the next run's is forked."""
    monkeypatch.setenv("TWINGRAPH_SECRET_MINE", "s3cr3t-of-the-first")
    first = runs.begin(
        looks_for, {"word": "nothing-like-it", "own": "${secret:MINE}"}, environment={"MINE": "${secret:MINE}"}, **WARM
    )
    assert runs.node(first).status == "completed", runs.view(first).error
    second = runs.begin(looks_for, {"word": "s3cr3t-of-the-first"[::-1], "own": ""}, environment={}, **WARM)
    assert runs.node(second).status == "completed", runs.view(second).error
    assert runs.result(second) == []
    assert runs.view(first).attempts[0].worker == runs.view(second).attempts[0].worker


@component
def behaves(how: str) -> str:
    import os
    import signal
    import time

    if how == "exit":
        os._exit(5)
    if how == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    if how == "eat":
        return str(len(b"x" * (300 << 20)))
    if how == "raise":
        raise ValueError(how)
    if how == "leave files":
        import subprocess

        subprocess.Popen(["sh", "-c", "sleep 60"])
        raise SystemExit(3)
    return os.uname().nodename


@pytest.mark.parametrize(
    ("how", "code"),
    [("exit", "crashed"), ("hang", "timeout"), ("eat", "oom"), ("raise", "user_error"), ("leave files", "user_error")],
)
def test_however_a_run_ends_its_container_serves_the_next(runs: Runs, how: str, code: str) -> None:
    config = {"platform_config": {"warm": True, "memory": "96Mi"}}
    before = runs.value(behaves, {"how": ""}, **config)
    error = runs.run(behaves, {"how": how}, timeout=1.0 if how == "hang" else 30.0, **config).error
    assert error is not None
    assert error.code == code
    assert runs.value(behaves, {"how": ""}, **config) == before


def test_a_cancelled_run_takes_its_container_along(runs: Runs, docker_engine: Engine) -> None:
    handle = runs.begin(behaves, {"how": "hang"}, **WARM)
    runs.begun(handle)
    name = runs.view(handle).attempts[0].worker
    assert name in docker_engine.warm(runs.home)
    handle.cancel()
    assert handle.wait(20)
    assert handle.status == "cancelled"
    assert docker_engine.gone(name)
    assert runs.value(behaves, {"how": ""}, **WARM)


def test_one_that_is_killed_is_nobodys_fault_and_another_comes(runs: Runs, docker_engine: Engine) -> None:
    handle = runs.begin(behaves, {"how": ""}, **WARM)
    runs.node(handle)
    name = runs.view(handle).attempts[0].worker
    docker_engine.ask("kill", str(name))
    again = runs.run(behaves, {"how": ""}, **WARM)
    assert (again.status, [attempt.status for attempt in again.attempts]) == ("completed", ["completed"])


def test_an_idle_one_ends_by_itself(runs: Runs, docker_engine: Engine) -> None:
    handle = runs.begin(behaves, {"how": ""}, platform_config={"warm": 0.3})
    runs.node(handle)
    assert docker_engine.gone(runs.view(handle).attempts[0].worker)
    assert runs.value(behaves, {"how": ""}, platform_config={"warm": 0.3})


SCRIPT = """
from twingraph import component, pipeline

@component(platform="docker", docker_image="{image}", config={{"warm": True, "volumes": {{"{folder}": "/there"}}}})
def waits(name: str) -> None:
    import os, time
    open("/there/" + name, "w").close()
    while not os.path.exists("/there/go"):
        time.sleep(0.02)

@pipeline
def flow() -> None:
    waits("begun")

flow()
"""


@pytest.mark.parametrize("how", ["killed", "over"])
def test_with_the_process_that_it_serves_it_ends(home: Path, tmp_path: Path, docker_engine: Engine, how: str) -> None:
    (tmp_path / "flow.py").write_text(SCRIPT.format(image=IMAGE, folder=tmp_path))
    script = subprocess.Popen([sys.executable, "flow.py"], cwd=tmp_path)
    wait_for(tmp_path / "begun")
    (name,) = docker_engine.warm(home)
    if how == "killed":
        os.kill(script.pid, signal.SIGKILL)
    else:
        (tmp_path / "go").touch()
    code = script.wait(30)
    assert docker_engine.gone(name)
    assert (how == "over") == (code == 0)
    if how == "killed":  # nobody goes on with it: the run begins again elsewhere
        (tmp_path / "begun").unlink()
        (tmp_path / "go").touch()
        execution = wiring.open_reader(str(home)).resolve("last")
        command = [sys.executable, "-m", "twingraph", "resume", execution]
        told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr
        assert (tmp_path / "begun").exists()
