"""A secret reaches the run that names it, and nothing else: not the home, whatever the run does with it."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

VALUE = "hunter2/Sesam+öffne=dich!0815"
HEAD, TAIL = VALUE[:9], VALUE[9:]

SCRIPT = """
import base64, ctypes, json, logging, os, subprocess, sys, threading, time, urllib.parse
from collections import namedtuple
from twingraph import BaseComponent, Workflow, component, current, pipeline
from twingraph.errors import ExecutionFailed, NodeFailed

@component(environment={"TOKEN": "${secret:TOKEN}", "URL": "db://me:${secret:TOKEN}@host/${secret:OTHER}"})
def say(given: str) -> dict:
    token = os.environ["TOKEN"]
    assert given == "x" + token + "y" + "other" + "-secret", len(given)
    assert "TWINGRAPH_SECRET_TOKEN" not in os.environ
    for about in ["environ", "cmdline"]:
        assert token.encode() not in open(f"/proc/self/{about}", "rb").read()
    assert os.environ["URL"] == f"db://me:{token}@host/other" + "-secret"
    print(token)
    print("in a line", token, "and", token)
    print(token[:9], end="")
    sys.stdout.flush()
    time.sleep(0.3)
    print(token[9:])
    for letter in token:
        sys.stdout.write(letter)
    print("." * 65530 + token + "." * 10)
    print([token], {"k": token}, repr(token.encode()))
    print(json.dumps({"a": token}), base64.b64encode(token.encode()).decode())
    print(base64.b64encode(b"u:" + token.encode() + b":x").decode())
    print(base64.urlsafe_b64encode(b"u" + token.encode()).decode())
    print(urllib.parse.quote(token), urllib.parse.quote_plus(token), token.encode().hex())
    print(token, file=sys.stderr)
    logging.getLogger("mine").warning("it is %s", token)
    current().logger.info(token)
    subprocess.run(["sh", "-c", "echo $TOKEN; echo $TOKEN >&2; printf '%s' \\"$TOKEN\\" | base64"], check=True)
    os.write(1, token[:9].encode()); time.sleep(0.3); os.write(1, token[9:].encode() + b"\\n")
    libc = ctypes.CDLL(None)
    libc.puts(token.encode()); libc.fflush(None)
    if os.fork() == 0:
        print("child", token)
        os._exit(0)
    os.wait()
    current().artifact("of-" + token, b"data")
    current().progress(1, 2)
    thread = threading.Thread(target=print, args=(token,)); thread.start(); thread.join()
    return {
        "plain": token, "deep": [{"x": ["<" + token + ">"]}, (token, {token})], token: 1,
        "b64": base64.b64encode(b"ab" + token.encode()).decode(), "url": urllib.parse.quote(token, safe=""),
        "bytes": b"\\x00\\xff" + token.encode(), "large": ["row", token] * 10000,
        "large_bytes": token.encode() * 10000, "number": 12, "text": "fine", "json": json.dumps({"inner": token}),
    }

@component
def fail(given: str) -> None:
    class Odd(Exception):
        def __init__(self, *args):
            super().__init__(*args)
            self.more = {"token": given}
    raise Odd("cannot log in with " + given, given)

@component
def yields(given: str):
    for n in range(3):
        yield {"n": n, "given": given}

@component
def dies(given: str) -> None:
    os.write(2, b"dying with " + given.encode() + b"\\n")
    os._exit(3)

@component
def length(text: str) -> int:
    return len(text)

@component
def echo(text: str) -> str:
    return text

@component
def none() -> list:
    return [name for name in os.environ if "TWINGRAPH_SECRET" in name or name == "TOKEN"]

class Client(BaseComponent):
    def execute(self, n: int) -> int:
        return len(self.config["password"]) + n
"""

RUNS = """
n = len("%s")
wf = Workflow("drawn").add_component("say", say, given="x${secret:TOKEN}y${secret:OTHER}")
out = wf.run()
assert out["plain"] == "***" and out["text"] == "fine" and out["large"] == ["row", "***"] * 10000, out["plain"]
assert out["bytes"] == b"\\x00\\xff***" and out["json"] == '{"inner": "***"}' and out["***"] == 1
assert out["deep"] == [{"x": ["<***>"]}, ("***", {"***"})]

wf = Workflow("fails").add_component("fail", fail, given="${secret:TOKEN}")
try:
    wf.run()
except ExecutionFailed as error:
    assert "cannot log in with ***" in str(error), error
    print(error, error.remote_traceback)

wf = Workflow("y").add_component("y", yields, given="${secret:TOKEN}")
assert wf.run() == [{"n": i, "given": "***"} for i in range(3)]
try:
    Workflow("d").add_component("d", dies, given="${secret:TOKEN}").run()
except ExecutionFailed as error:
    print(error)

@pipeline
def calls(text):
    assert text == "${secret:TOKEN}"
    a = length(text="${secret:TOKEN}")
    b = length(text=text)
    c = length(text="$" + "${secret:TOKEN}")
    # what comes out of a node names no secret
    d = length(text=echo(text="$" + "${secret:TOKEN}"))
    try:
        fail(given="$" + "${secret:THIRD}")
    except Exception as error:
        assert length(text=str(error)) > 10  # nobody knows THIRD
    foreign = str(echo(text="$" + "${secret:OTHER}"))
    e = length(text="put together: " + foreign)
    return [a, b, c, d, e, inner(echo(text="$" + "${secret:OTHER}"))]

@pipeline
def inner(text):
    return length(text="<" + str(text) + ">")

found = calls("${secret:TOKEN}")
assert found == [n, n, 15, 15, 29, 17], found
assert Workflow("n").add_component("n", none).run() == []
try:
    Workflow("u").add_component("u", length, text="${secret:NOBODY}").run()
except ExecutionFailed as error:
    assert "'NOBODY'" in str(error) and "TWINGRAPH_SECRET_NOBODY" in str(error), error
print("all is well")
"""


def run(folder: Path, text: str, **more: str) -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"
    script.write_text(text, encoding="utf-8")
    environment = {
        **os.environ, "TWINGRAPH_HOME": str(folder / "home"), "PYTHONPATH": str(Path(__file__).parents[3]),
        "TWINGRAPH_SECRET_TOKEN": VALUE, "TWINGRAPH_SECRET_OTHER": "other-secret", **more,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def forms() -> dict[str, bytes]:
    raw = VALUE.encode()
    said = {
        "plain": raw, "json": json.dumps(VALUE)[1:-1].encode(), "repr": repr(raw)[2:-1].encode(),
        "url": quote(VALUE).encode(), "all of the url": quote(VALUE, safe="").encode(), "hex": raw.hex().encode(),
        "half": TAIL.encode(), "other": b"other-secret",
    }  # fmt: skip
    for shift in range(3):
        text = base64.b64encode(b"x" * shift + raw)[4:-6]
        said[f"base64 at {shift}"] = text
        said[f"urlsafe base64 at {shift}"] = text.replace(b"+", b"-").replace(b"/", b"_")
    return said


def found_in(folder: Path) -> list[tuple[str, str]]:
    for file in folder.rglob("*.db"):
        with closing(sqlite3.connect(file)) as link:
            link.execute("PRAGMA wal_checkpoint")
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert files
    return [(str(file), name) for file in files for name, form in forms().items() if form in file.read_bytes()]


@pytest.mark.parametrize("inline", ["0", "1"])
def test_nothing_of_a_secret_is_kept(tmp_path: Path, inline: str) -> None:
    runs = RUNS % VALUE
    if inline == "1":  # there prints go to the terminal, and a death is the program's own
        runs = runs.split('wf = Workflow("y')[0] + "print('all is well')"
        runs = runs.replace("assert", "assert True or")
    text = SCRIPT
    if inline == "1":  # it is the process whose environment has the secret
        text = text.replace('assert "TWINGRAPH_SECRET_TOKEN" not in os.environ', "pass").replace('"environ", ', "")
    done = run(tmp_path, text + runs, TWINGRAPH_INLINE=inline)
    assert "all is well" in done.stdout, done.stderr[-4000:]
    assert found_in(tmp_path / "home") == []
    if inline == "0":
        assert [name for name, form in forms().items() if form in (done.stdout + done.stderr).encode()] == []


def test_a_component_class_is_given_its_config(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        SCRIPT + 'print(Workflow("c").add_component("c", Client({"password": "${secret:TOKEN}"}), n=1).run())\n',
    )
    assert done.stdout.split() == [str(len(VALUE) + 1)], done.stderr[-3000:]
    assert found_in(tmp_path / "home") == []


def test_logs_say_that_something_was_hidden(tmp_path: Path) -> None:
    wf = 'Workflow("l").add_component("say", say, given="x${secret:TOKEN}y${secret:OTHER}").run()\n'
    done = run(tmp_path, SCRIPT + wf)
    assert done.returncode == 0, done.stderr[-3000:]
    environment = {**os.environ, "TWINGRAPH_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "twingraph", "logs", "last"]
    logs = subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout
    for line in ("in a line *** and ***", "child ***", "mine: it is ***", "of-***"):
        assert line in logs, logs[-3000:]
