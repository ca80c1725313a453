"""The runner's one file carries a node out with nothing but a Python: 3.8, 3.9 and the newest of this machine."""

from __future__ import annotations

import base64
import json
import marshal
import signal
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import interrupting
from tests.support.contained import PYTHONS, Box, names, wait_for
from tools.pythons import Python

CODE = """
import logging, os, signal, subprocess, sys, threading, time
from collections import namedtuple
import twingraph
from twingraph import PermanentError, component, current

@component
def split(data, threshold=0.5):
    Output = namedtuple("Output", ["filtered", "count"])
    filtered = [x for x in data if x > threshold]
    return Output(filtered=filtered, count=len(filtered))

def same(value):
    return value

def tells():
    print("to the world \\u263a")
    print("careful", file=sys.stderr)
    logging.getLogger("mine").info("logged")
    os.write(1, b"past everything\\n")
    subprocess.run(["sh", "-c", "echo child; echo child2 >&2"], check=True)
    current().progress(3, 4)
    return [current().execution_id, current().node_id, current().attempt, os.environ["TWINGRAPH_IDEMPOTENCY_KEY"]]

def fails(x):
    raise LookupError("no %s" % x)

def gives_up():
    raise PermanentError("never")

def leaves(code):
    os._exit(code)

def last_words(way):
    print("printed")
    logging.error("logged")
    sys.stderr.write("told\\n")
    print("flushed", end="", flush=True)
    faults() if way == "fault" else os.kill(os.getpid(), signal.SIGKILL) if way == "kill" else os._exit(0)

def leaves_with_an_answer():
    def end(*names):
        os.replace(*names)
        print("printed")
        os._exit(3)
    sys.modules["twingraph.executors.contained"]._replace = end

def faults():
    import ctypes
    ctypes.string_at(0)

def kills():
    os.kill(os.getpid(), signal.SIGKILL)

def exits():
    sys.exit(3)

def sleeps(place=None):
    if place:
        open(place, "w").close()
    time.sleep(60)

def deaf(place):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleeps(place)

def tidy(place):
    def leave(*_):
        with open(place + ".left", "w"):
            pass
        sys.exit(1)
    signal.signal(signal.SIGTERM, leave)
    sleeps(place)

def leaks():
    threading.Thread(target=time.sleep, args=(60,)).start()
    subprocess.Popen(["sleep", "60"], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return "done"

def closes():
    os.closerange(0, 100)
    return "still"

def floods():
    for number in range(3000):
        print("line", number, "x" * 50)
        if number % 100 == 0:
            os.write(1, b"raw %d\\n" % number)

def counts(to):
    for number in range(to):
        yield {"number": number}

async def waits():
    import asyncio
    await asyncio.sleep(0)
    return "waited"

def large(size):
    return {"data": b"x" * size, "numbers": list(range(size // 10)), "small": 1}

def secret(token):
    print("the token is " + token)
    return {"token": token, "env": os.environ["KEPT"], "list": [token * 2]}

def forks():
    if os.fork() == 0:
        return "child"
    os.wait()
    return "parent"

def breaks():
    breakpoint()

def another_clock(value):
    time.time = time.monotonic = time.sleep = lambda *_: value
    print("said")
    current().progress(1, 2)
    os.getpid = os.write = os.replace = os._exit = None
    return "done"

def keeps():
    return current().artifact("notes.txt", "hello")

def surroundings():
    return [os.environ.get("GIVEN"), os.environ.get("OUTSIDE"), twingraph.__name__]

def unfit():
    return object()
"""
CODE += interrupting.CODE

Runs = Callable[..., Box]


@pytest.fixture(params=PYTHONS, ids=names(PYTHONS))
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Box:
    python: Python = request.param
    folder = tmp_path / "box"
    folder.mkdir()
    return Box(folder, python, CODE)


def test_the_documented_example(box: Box) -> None:
    told = box.run("split", {"data": [0.1, 0.9, 0.7]})
    assert told.head["shape"].startswith("namedtuple:")
    assert [name for name, _, _ in told.head["outputs"]] == ["filtered", "count"]
    assert told.texts == ["[0.9,0.7]", "2"]
    assert (told.code, told.ending["exit"], told.ending["doom"]) == (0, 0, None)


def test_a_small_answer_is_said(box: Box) -> None:
    told = box.run("same", {"value": {"a": [1, None, "\u263a"]}})
    assert told.of("a") == [["a", (told.folder / "out" / "answer").read_text()]]
    kind, ending, made, folder = told.messages[-1]
    assert (kind, made) == ("e", False)
    assert folder == str(told.folder)
    assert json.loads((told.folder / "out" / "ending").read_text()) == ending
    assert told.messages[0][0] == "b"
    assert ending["cpu"] > 0
    assert ending["memory"] > 1 << 20


def test_whatever_is_said_is_told(box: Box) -> None:
    told = box.run("tells")
    assert json.loads(told.texts[0]) == ["e1", "n1", 2, "e1:n1"]
    assert ("info", "stdout", "to the world \u263a") in told.lines
    assert ("warning", "stderr", "careful") in told.lines
    assert ("info", "logging", "mine: logged") in told.lines
    assert ("info", "progress", "3 of 4") in told.lines
    assert told.beside == b"past everything\nchild\n"
    assert told.stderr == "child2\n"


def test_an_error_with_the_authors_own_lines(box: Box) -> None:
    error = box.run("fails", {"x": "key"}).head["error"]
    assert (error["code"], error["error_type"], error["message"]) == ("user_error", "LookupError", "no key")
    assert 'File "/somewhere/user_code.py", line' in error["traceback"]
    assert 'raise LookupError("no %s" % x)' in error["traceback"]
    assert "runner.py" not in error["traceback"]


@pytest.mark.parametrize("value", [0, -1e11, 1e300, "x", None])
def test_the_clock_is_the_real_one_whatever_user_code_makes_of_it(box: Box, value: object) -> None:
    before = time.time()
    told = box.run("another_clock", {"value": value})
    times = [record[0] for _, records in told.of("l") for record in records]
    times += [told.of("b")[0][1], told.head["started"], told.head["ended"]]
    assert all(before <= at <= time.time() for at in times)
    assert (told.texts, told.code, told.stderr) == (['"done"'], 0, "")
    assert [text for _, _, text in told.lines] == ["said", "1 of 2"]


def test_a_permanent_error_is_known_as_one(box: Box) -> None:
    error = box.run("gives_up").head["error"]
    assert (error["permanent"], error["error_type"]) == (True, "PermanentError")


@pytest.mark.parametrize(
    ("entry", "arguments", "code", "by"),
    [
        ("leaves", {"code": 7}, 7, None),
        ("faults", {}, None, signal.SIGSEGV),
        ("kills", {}, None, signal.SIGKILL),
    ],
)
def test_how_its_process_ended(box: Box, entry: str, arguments: dict[str, int], code: int, by: int | None) -> None:
    told = box.run(entry, arguments)
    assert (told.ending["exit"], told.ending["signal"]) == (code, by)
    assert told.code == (code if by is None else 128 + by)
    assert told.of("a") == []
    assert entry != "faults" or "Segmentation fault" in told.stderr


@pytest.mark.parametrize("way", ["exit", "fault", "kill"])
def test_what_it_said_right_before_its_process_ended_is_told(box: Box, way: str) -> None:
    assert box.run("last_words", {"way": way}).lines == [
        ("info", "stdout", "printed"),
        ("error", "logging", "logged"),
        ("warning", "stderr", "told"),
        ("info", "stdout", "flushed"),
    ]


def test_what_it_said_is_told_where_its_process_ended_after_its_answer(box: Box) -> None:
    told = box.run("leaves_with_an_answer")
    assert (told.code, told.lines) == (3, [("info", "stdout", "printed")])


def test_a_handler_of_a_signal_may_raise_wherever_a_print_is(box: Box) -> None:
    assert box.run("raises_at_each_call_of_a_print", timeout=10).head["status"] == "completed"


def test_an_exit_is_an_error_and_no_end_of_the_process(box: Box) -> None:
    told = box.run("exits")
    assert (told.head["error"]["code"], told.head["error"]["error_type"]) == ("user_error", "SystemExit")


def test_time_is_up(box: Box) -> None:
    told = box.run("sleeps", timeout=0.3)
    assert (told.ending["doom"], told.ending["signal"]) == ("timeout", signal.SIGTERM)


def test_what_does_not_listen_is_killed(box: Box, tmp_path: Path) -> None:
    process = box.begin("deaf", {"place": str(tmp_path / "here")})
    wait_for(tmp_path / "here")
    process.terminate()
    told = box.end(process)
    assert (told.ending["doom"], told.ending["signal"]) == ("cancelled", signal.SIGKILL)


def test_what_listens_may_tidy_up(box: Box, tmp_path: Path) -> None:
    process = box.begin("tidy", {"place": str(tmp_path / "here")})
    wait_for(tmp_path / "here")
    process.terminate()
    told = box.end(process)
    assert told.ending["doom"] == "cancelled"
    assert (tmp_path / "here.left").exists()


def test_leaked_threads_and_processes_keep_nothing_waiting(box: Box) -> None:
    assert box.run("leaks").texts == ['"done"']


def test_closed_descriptors_lose_nothing(box: Box) -> None:
    assert box.run("closes").texts == ['"still"']


def test_a_flood_keeps_its_order_and_loses_nothing(box: Box) -> None:
    told = box.run("floods")
    assert [text.split()[1] for _, stream, text in told.lines if stream == "stdout"] == [str(n) for n in range(3000)]
    assert told.beside.split() == [word for n in range(0, 3000, 100) for word in (b"raw", b"%d" % n)]


def test_items_are_told_as_they_come(box: Box) -> None:
    told = box.run("counts", {"to": 5}, generator=True)
    items = [(start, texts) for _, start, texts in told.of("i")]
    assert [json.loads(text)["number"] for _, texts in items for text in texts] == [0, 1, 2, 3, 4]
    assert json.loads(told.texts[0]) == [{"number": number} for number in range(5)]


def test_coroutines_are_awaited(box: Box) -> None:
    assert box.run("waits").texts == ['"waited"']


def test_large_values_are_left_as_files(box: Box) -> None:
    told = box.run("large", {"size": 1_000_000})
    data, numbers, small = map(json.loads, told.texts)
    assert (told.folder / "out" / "blobs" / data["hash"]).read_bytes() == b"x" * 1_000_000
    assert numbers["rung"] == "list"
    assert small == 1
    assert told.messages[-1][2] is True


def test_large_arguments_are_found(box: Box) -> None:
    from twingraph.core.hashing import content_hash

    data = b"y" * 100_000
    box.blobs[content_hash(data)] = data
    told = box.run(
        "same", args=[["value", json.dumps({"$": "ref", "rung": "bytes", "hash": content_hash(data), "size": 1})]]
    )
    assert json.loads(told.texts[0])["hash"] == content_hash(data)


def test_secrets_are_hidden(box: Box) -> None:
    told = box.run(
        "secret",
        {"token": "s3cret-value"},
        secrets=["s3cret-value", "other-secret"],
        environment={"KEPT": "other-secret"},
    )
    everything = json.dumps(told.messages) + told.stderr + "".join(told.texts)
    assert "s3cret" not in everything
    assert "other-secret" not in everything
    assert ("info", "stdout", "the token is ***") in told.lines
    assert list(map(json.loads, told.texts)) == ["***", "***", ["******"]]


def test_of_one_that_forks_and_returns_twice_one_result_counts(box: Box) -> None:
    assert box.run("forks").texts == ['"parent"']


def test_a_breakpoint_is_refused(box: Box) -> None:
    assert "TWINGRAPH_INLINE" in box.run("breaks").head["error"]["message"]


def test_an_artifact_is_kept(box: Box) -> None:
    told = box.run("keeps")
    digest = json.loads(told.texts[0])
    assert (told.folder / "out" / "blobs" / digest).read_bytes() == b"hello"
    assert ("info", "artifact", f"notes.txt {digest} 5 bytes") in told.lines


def test_the_environment_that_it_was_given(box: Box) -> None:
    told = box.run("surroundings", environment={"GIVEN": "this"})
    assert json.loads(told.texts[0]) == ["this", "yes", "twingraph"]


def test_what_cannot_be_stored_names_the_remedy(box: Box) -> None:
    error = box.run("unfit").head["error"]
    assert (error["code"], error["permanent"]) == ("invalid_output", True)
    assert "return plain data" in error["message"]


def test_code_that_is_gone(box: Box) -> None:
    broken = Box(box.folder, box.python, "def same(:\n")
    error = broken.run("same", {"value": 1}).head["error"]
    assert error["error_type"] == "SyntaxError"


# -- what was compiled is kept ---------------------------------------------------------------------


def kept_of(box: Box) -> bytes:
    box.keep = True
    told = box.run("same", {"value": 1})
    box.keep = False
    assert told.messages[0][0] == "k"
    return base64.b64decode(told.messages[0][1])


def test_what_one_has_compiled_another_uses(box: Box) -> None:
    box.kept = kept_of(box)
    assert len(box.kept) > 50_000
    # Nothing is left to compile from: it works all the same.
    box.sources = zlib.compress(marshal.dumps({}, 2))
    assert box.run("same", {"value": [1.5]}).texts == ["[1.5]"]
    box.sources = None
    error = box.run("fails", {"x": "key"}).head["error"]
    assert 'File "/somewhere/user_code.py", line' in error["traceback"]
    assert "runner.py" not in error["traceback"]


def test_what_another_build_of_python_compiled_is_not_touched(box: Box) -> None:
    kept = kept_of(box)
    stamp, _, codes = kept.partition(b"\n")
    for wrong in (stamp.replace(b"3.", b"4.", 1) + b"\n" + codes, b"\n" + codes, b"nonsense"):
        box.kept = wrong
        assert box.run("same", {"value": 2}).texts == ["2"]


def test_it_ends_unharmed_when_who_speaks_to_it_is_gone(box: Box) -> None:
    for part in (0.0, 0.3, 0.9, 0.999):
        process = box.begin("same", {"value": "x" * 1000}, part=part)
        told = box.end(process)
        assert told.code == 75
        assert told.of("b") == told.of("e") == []
        assert told.stderr == ""
