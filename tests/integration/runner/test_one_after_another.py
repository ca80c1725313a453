"""A runner that takes one run after another, without the container."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.contained import OUTSIDE, TOKEN, parts_of, run_of, wait_for
from twingraph.executors import one_file

FILE = "/somewhere/user_code.py"
BUNDLE = {
    "format": 1,
    "modules": {
        "user_code": {"text": "def same(value):\n    return value\n", "file": FILE, "package": False, "main": False}
    },
    "entries": {
        "same": {
            "module": "user_code", "mode": "slice", "factory": None, "closure": {}, "file": FILE, "name": "same",
        }
    },
}  # fmt: skip


def run(word: str, blob: bytes = b"") -> bytes:
    payload: dict[str, object] = {
        "entry": "same", "config": None, "execution": "e1", "node": "n1", "attempt": 1, "environment": {},
        "secrets": [], "timeout": None, "generator": False, "args": [["value", json.dumps(word)]],
    }  # fmt: skip
    return run_of(BUNDLE, payload, {"0a" * 32: blob} if blob else {})


def told(said: bytes, kind: str) -> list[Any]:
    messages = [json.loads(data) for is_ours, data in parts_of(said) if is_ours]
    return [message for message in messages if message[0] == kind]


def memory_of(process: int) -> bytes:
    found = b""
    with open(f"/proc/{process}/maps") as maps, open(f"/proc/{process}/mem", "rb", 0) as memory:
        for line in maps:
            where, rights = line.split()[:2]
            if rights.startswith("rw") and "[v" not in line:
                start, end = (int(part, 16) for part in where.split("-"))
                memory.seek(start)
                found += memory.read(end - start)
    return found


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """It has begun to listen in the folder `place`."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-B", "-c", one_file.BOOT], stdin=pipe, stdout=pipe, stderr=pipe, env=OUTSIDE, cwd=tmp_path
    )
    assert process.stdin is not None
    process.stdin.write(one_file.opening(token=TOKEN, folder=str(tmp_path / "place"), idle=5.0))
    process.stdin.flush()
    wait_for(tmp_path / "place")
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def said_of(runner: subprocess.Popen[bytes], *words: str) -> bytes:
    """All that is said until the last of these runs has ended, one after another."""
    assert runner.stdin is not None
    assert runner.stdout is not None
    said = b""
    for count, word in enumerate(words, 1):
        runner.stdin.write(run(word))
        runner.stdin.flush()
        while len(told(said, "e")) < count:
            piece = os.read(runner.stdout.fileno(), 1 << 16)
            assert piece
            said += piece
    return said


def test_each_says_that_it_has_read_its_part(runner: subprocess.Popen[bytes]) -> None:
    said = said_of(runner, "word1", "word2")
    assert [(one[1]["fed"], one[1]["exit"]) for one in told(said, "e")] == [(True, 0)] * 2
    assert [answer.split("\n")[1] for _, answer in told(said, "a")] == ['"word1"', '"word2"']


@pytest.mark.only_where(sys.platform == "linux", "the memory of a process is a file there")
def test_nothing_of_a_run_is_in_the_process_that_the_next_is_forked_from(runner: subprocess.Popen[bytes]) -> None:
    """Neither what it was given nor what it gave, which user code of the next could read there."""
    said = said_of(runner, "neither-this-one")
    assert b"neither-this-one" in said
    memory = memory_of(runner.pid)
    assert TOKEN.encode() in memory
    assert b"neither-this-one" not in memory


@pytest.mark.parametrize("size", [0, 3_000_000], ids=["small", "large"])
def test_what_a_run_did_not_read_is_not_taken_for_the_next(
    runner: subprocess.Popen[bytes], tmp_path: Path, size: int
) -> None:
    """Its folder cannot be made, so that it ends before it reads: who speaks is not left waiting, and no other run
    hears anything of it.
    """
    (tmp_path / "place" / "1").mkdir()
    assert runner.stdin is not None
    with suppress(BrokenPipeError), runner.stdin:
        runner.stdin.write(run("first", os.urandom(size)) + run("innocent"))
    runner.stdin = None
    out, err = runner.communicate(timeout=20)
    (ending,) = told(out, "e")
    assert (ending[1]["fed"], ending[1]["begun"], ending[1]["exit"]) == (False, False, 1)
    assert b"FileExistsError" in err
    assert runner.returncode == 1
