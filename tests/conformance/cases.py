"""Every promise about carrying a node out, named once. A case is run on every pair of dispatch and platform.

A case gets a `Bed`, which makes components run on its platform, and asserts. What is sent to the platform must stand on
its own: components import what they use.
"""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from twingraph import PermanentError, Workflow, component, current
from twingraph.core.codec import decode
from twingraph.core.execution import ExecutionView, LogRecord, NodeView
from twingraph.engine.handle import Handle
from twingraph.wiring import Runtime, open_reader

Case = Callable[["Bed"], None]
CASES: dict[str, Case] = {}


def case(act: Case) -> Case:
    CASES[act.__name__] = act
    return act


@dataclass
class Bed:
    """A home whose nodes run on one platform. `shared` is a folder that nodes see at `place`."""

    runtime: Runtime
    home: Path
    shared: Path
    place: str
    settings: Mapping[str, Any]  # of each component, so that it runs there
    mounted: Mapping[str, Any]  # the same, with the folder
    alive: Callable[[str], int]  # how much of an execution is alive anywhere

    def begin(
        self, what: object, inputs: Mapping[str, Any] | None = None, *, sees: bool = False, **more: Any
    ) -> Handle:
        settings = {**(self.mounted if sees else self.settings), **more}
        return self.submit(Workflow("case").add_component("n", what, **settings), inputs)

    def submit(self, workflow: Workflow, inputs: Mapping[str, Any] | None = None) -> Handle:
        return self.runtime.submit(workflow.compile(), inputs or {})

    def done(self, handle: Handle) -> NodeView:
        assert handle.wait(60), "it did not end"
        return self.view(handle).nodes[0]

    def run(
        self, what: object, inputs: Mapping[str, Any] | None = None, *, sees: bool = False, **more: Any
    ) -> NodeView:
        return self.done(self.begin(what, inputs, sees=sees, **more))

    def value(self, what: object, inputs: Mapping[str, Any] | None = None, **more: Any) -> Any:
        handle = self.begin(what, inputs, **more)
        node = self.done(handle)
        assert node.status == "completed", node.error
        assert handle.result is not None
        return decode(handle.result, blobs=self.runtime.blobs, key=self.runtime.secret, pickle=True)

    def view(self, handle: Handle) -> ExecutionView:
        return open_reader(str(self.home)).view(handle.id)

    def logs(self, handle: Handle) -> list[LogRecord]:
        return open_reader(str(self.home)).logs(handle.id)

    def wait_for(self, name: str, seconds: float = 30) -> None:
        self.until(lambda: (self.shared / name).exists(), seconds)

    def until(self, holds: Callable[[], object], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "it did not come about"
            time.sleep(0.02)


# -- results ---------------------------------------------------------------------------------------


@component
def same(value: Any) -> Any:
    return value


@case
def result_plain(bed: Bed) -> None:
    value = {"text": "a\nb", "numbers": [1, 2.5, True, None], "deep": {"": [[], {}]}}
    assert bed.value(same, {"value": [value]}) == [value]


@case
def result_types(bed: Bed) -> None:
    import datetime
    import decimal

    value = [(1, "two"), b"bytes", {3, 4}, datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), decimal.Decimal("1.10")]
    assert bed.value(same, {"value": value}) == value


@case
def result_unicode(bed: Bed) -> None:
    assert bed.value(same, {"value": "grüße ☺ 漢字 \U0001f600\u0000"}) == "grüße ☺ 漢字 \U0001f600\u0000"


@component
def makes_odd() -> Any:
    import fractions

    return fractions.Fraction, 1


@case
def result_pickled(bed: Bed) -> None:
    assert bed.value(makes_odd)[1] == 1


class Pair(NamedTuple):
    low: int
    high: int


@component
def bounds(numbers: list[int]) -> Pair:
    return Pair(min(numbers), max(numbers))


@case
def outputs_named(bed: Bed) -> None:
    node = bed.run(bounds, {"numbers": [3, 1, 2]})
    assert [output.name for output in node.outputs] == ["low", "high"]
    assert tuple(bed.value(bounds, {"numbers": [3, 1, 2]})) == (1, 3)


@component
def large(size: int) -> Any:
    return {"data": b"x" * size, "list": list(range(size // 100))}


@component
def measures(data: bytes, numbers: list[int]) -> Any:
    return [len(data), len(numbers), numbers[-1]]


@case
def values_large(bed: Bed) -> None:
    workflow = Workflow("large").add_component("a", large, size=3_000_000, **bed.settings)
    workflow.add_component("b", measures, **bed.settings)
    workflow.connect("a", "b", output="data", input="data").connect("a", "b", output="list", input="numbers")
    handle = bed.submit(workflow)
    assert handle.wait(60)
    assert handle.result is not None, handle.error
    assert json.loads(handle.result) == [3_000_000, 30_000, 29_999]


@component
def counts(to: int) -> Any:
    yield from range(to)


@case
def items_of_a_generator(bed: Bed) -> None:
    assert bed.value(counts, {"to": 50}) == list(range(50))


@component
async def waits_a_little() -> str:
    import asyncio

    await asyncio.sleep(0.01)
    return "waited"


@case
def asynchronous(bed: Bed) -> None:
    assert bed.value(waits_a_little) == "waited"


# -- errors ----------------------------------------------------------------------------------------


@component
def fails(word: str) -> None:
    def inner() -> None:
        raise LookupError("no " + word)

    inner()


@case
def error_with_remote_traceback(bed: Bed) -> None:
    error = bed.run(fails, {"word": "key"}).error
    assert error is not None
    assert (error.code, error.error_type, error.message) == ("user_error", "LookupError", "no key")
    assert "cases.py" in (error.traceback or "")
    assert 'raise LookupError("no " + word)' in (error.traceback or "")
    assert "LookupError" in error.types


@component
def gives_up() -> None:
    raise PermanentError("never")


@case
def error_permanent(bed: Bed) -> None:
    node = bed.run(gives_up, retry_policy={"max_attempts": 3, "initial_delay": 0.01})
    assert len(node.attempts) == 1


@component
def leaves(code: int) -> None:
    import os

    os._exit(code)


@case
def exit_code(bed: Bed) -> None:
    error = bed.run(leaves, {"code": 9}).error
    assert error is not None
    assert (error.code, error.exit_code) == ("crashed", 9)


@component
def says_and_leaves() -> None:
    import logging
    import os

    print("printed")
    logging.error("logged")
    print("flushed", end="", flush=True)
    os._exit(9)


@case
def last_words(bed: Bed) -> None:
    handle = bed.begin(says_and_leaves)
    assert bed.done(handle).status == "failed"
    assert [record.message for record in bed.logs(handle)] == ["printed", "logged", "flushed"]


@component
def quits() -> None:
    import sys

    sys.exit(3)


@case
def exit_by_sys(bed: Bed) -> None:
    error = bed.run(quits).error
    assert error is not None
    assert (error.code, error.error_type) == ("user_error", "SystemExit")


@component
def faults() -> None:
    import os

    os.abort()


@case
def crash(bed: Bed) -> None:
    error = bed.run(faults).error
    assert error is not None
    assert (error.code, error.exit_code) == ("crashed", 134)


@component
def gives_a_loop() -> Any:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@case
def output_invalid(bed: Bed) -> None:
    error = bed.run(gives_a_loop).error
    assert error is not None
    assert (error.code, error.permanent) == ("invalid_output", True)


# -- while it runs ---------------------------------------------------------------------------------


@component
def speaks(folder: str) -> None:
    import logging
    import os
    import sys
    import time

    print("first", flush=True)
    print("careful", file=sys.stderr)
    logging.getLogger("mine").warning("logged")
    os.system("echo from a child")
    current().progress(1, 2)
    open(folder + "/spoken", "w").close()
    while not os.path.exists(folder + "/go"):
        time.sleep(0.02)
    print("last")


@case
def logs_while_running(bed: Bed) -> None:
    handle = bed.begin(speaks, {"folder": bed.place}, sees=True)
    bed.wait_for("spoken")
    spoken = {"first", "careful", "mine: logged", "from a child"}
    bed.until(lambda: spoken <= {record.message for record in bed.logs(handle)})
    said = {(record.level, record.stream, record.message) for record in bed.logs(handle)}
    assert ("warning", "stderr", "careful") in said
    assert ("warning", "logging", "mine: logged") in said
    (bed.shared / "go").touch()
    assert bed.done(handle).status == "completed"
    assert bed.logs(handle)[-1].message == "last"


@case
def progress(bed: Bed) -> None:
    (bed.shared / "go").touch()
    handle = bed.begin(speaks, {"folder": bed.place}, sees=True)
    bed.done(handle)
    assert [record.message for record in bed.logs(handle) if record.stream == "progress"] == ["1 of 2"]


@component
def works() -> int:
    import time

    begun, held = time.process_time(), b"x" * 30_000_000
    while time.process_time() - begun < 0.2:
        pass
    return len(held)


@case
def usage(bed: Bed) -> None:
    attempt = bed.run(works).attempts[0]
    assert attempt.cpu is not None
    assert attempt.cpu >= 0.19
    assert (attempt.memory or 0) > 30_000_000


@component
def surroundings() -> Any:
    import os

    own = current()
    names = ("EXECUTION_ID", "NODE_ID", "ATTEMPT", "IDEMPOTENCY_KEY")
    told = [own.execution_id, own.node_id, str(own.attempt), own.idempotency_key]
    return [os.environ.get("GIVEN"), told == [os.environ["TWINGRAPH_" + name] for name in names], own.node_id]


@case
def environment(bed: Bed) -> None:
    assert bed.value(surroundings, environment={"GIVEN": "ä=b c"}) == ["ä=b c", True, "n"]


@component
def secretive(token: str) -> Any:
    import os

    print("it is " + token)
    os.system("echo child says $KEPT")
    return {"back": token, "kept": os.environ["KEPT"]}


@case
def secrets_masked(bed: Bed) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWINGRAPH_SECRET_TOKEN", "s3cr3t-token")
        patch.setenv("TWINGRAPH_SECRET_KEPT", "k3pt-value")
        handle = bed.begin(secretive, {"token": "${secret:TOKEN}"}, environment={"KEPT": "${secret:KEPT}"})
        node = bed.done(handle)
    assert node.status == "completed", node.error
    said = [record.message for record in bed.logs(handle)]
    assert {"it is ***", "child says ***"} <= set(said)
    assert json.loads(handle.result or "") == {"back": "***", "kept": "***"}


# -- being ended, and tried again ------------------------------------------------------------------


@component
def sleeps(folder: str, deaf: bool) -> None:
    import signal
    import time

    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open(folder + "/asleep", "w").close()
    time.sleep(100)


@case
def timeout(bed: Bed) -> None:
    handle = bed.begin(sleeps, {"folder": bed.place, "deaf": True}, sees=True, timeout=0.5)
    error = bed.done(handle).error
    assert error is not None
    assert (error.code, error.error_type) == ("timeout", "TimeoutError")
    assert "TimeoutError" in error.types  # by which a policy's `exceptions` find it
    bed.until(lambda: not bed.alive(handle.id), 10)


@case
def cancel(bed: Bed) -> None:
    handle = bed.begin(sleeps, {"folder": bed.place, "deaf": True}, sees=True)
    bed.wait_for("asleep")
    handle.cancel()
    assert handle.wait(10)
    assert handle.status == "cancelled"
    bed.until(lambda: not bed.alive(handle.id), 10)


@component
def waits_for(folder: str, name: str) -> str:
    import os
    import time

    open(folder + "/begun-" + name, "w").close()
    while not os.path.exists(folder + "/go"):
        time.sleep(0.02)
    return name


@case
def pause(bed: Bed) -> None:
    workflow = Workflow("pause").add_component("a", waits_for, folder=bed.place, name="a", **bed.mounted)
    workflow.add_component("b", waits_for, folder=bed.place, **bed.mounted).connect("a", "b", input="name")
    handle = bed.submit(workflow)
    bed.wait_for("begun-a")
    bed.until(lambda: bed.view(handle).nodes[0].status == "running")  # before that is known it may be taken back
    bed.runtime.pause(handle.id)
    bed.until(lambda: bed.view(handle).record.status == "paused")
    (bed.shared / "go").touch()
    bed.until(lambda: bed.view(handle).nodes[0].status == "completed")
    assert not any(path.name.startswith("begun-") and path.name != "begun-a" for path in bed.shared.iterdir())
    assert bed.runtime.resume(handle.id).wait(60)
    assert bed.view(handle).record.status == "completed"


@component
def flaky(folder: str, times: int, how: str) -> int:
    import os
    import signal

    with open(folder + "/tries", "a") as file:
        file.write("x")
    with open(folder + "/tries") as file:
        tries = len(file.read())
    if tries <= times:
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()
        raise ConnectionError("try again")
    return tries


@case
def retry(bed: Bed) -> None:
    policy = {"max_attempts": 3, "initial_delay": 0.01, "exceptions": ["OSError"]}
    arguments = {"folder": bed.place, "times": 2, "how": "raise"}
    node = bed.run(flaky, arguments, sees=True, retry_policy=policy)
    assert [attempt.status for attempt in node.attempts] == ["failed", "failed", "completed"]


@case
def killed_midway(bed: Bed) -> None:
    """Somebody else's kill costs no attempt; three in a row end the node."""
    node = bed.run(flaky, {"folder": bed.place, "times": 1, "how": "kill"}, sees=True)
    assert [attempt.status for attempt in node.attempts] == ["lost", "completed"]


@case
def poison(bed: Bed) -> None:
    node = bed.run(flaky, {"folder": bed.place, "times": 99, "how": "kill"}, sees=True)
    assert node.error is not None
    assert node.error.code == "worker_lost"
    assert len(node.attempts) == 3


# -- many, and code --------------------------------------------------------------------------------


def offset() -> int:
    return BASE


BASE = 40


@component
def helped(x: int) -> int:
    return offset() + x


@case
def code_slice(bed: Bed) -> None:
    assert bed.value(helped, {"x": 2}) == 42


@case
def code_bundle(bed: Bed) -> None:
    """A project with files of its own, and code that cannot be cut."""
    with made_project(bed.shared.parent / "project") as module:
        assert bed.value(module.reads, {"x": 2}, ship="bundle") == ["beside", 42, "late"]


@contextmanager
def made_project(folder: Path) -> Iterator[ModuleType]:
    (folder / "case_kit").mkdir(parents=True)
    for name, text in {
        "__init__": "",
        "late": "word = 'late'\n",
        "steps": "from pathlib import Path\n\nBASE = 40\n\ndef reads(x):\n    from . import late\n"
        "    beside = Path(__file__).with_name('data.txt').read_text()\n"
        "    return [beside, globals()['BASE'] + x, late.word]\n",
    }.items():
        (folder / "case_kit" / f"{name}.py").write_text(text)
    (folder / "case_kit" / "data.txt").write_text("beside")
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("case_kit.steps")
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == "case_kit"]:
            del sys.modules[name]


@case
def code_image(bed: Bed) -> None:
    """What is there already: a part of every Python."""
    assert bed.value(statistics.mean, {"data": [1, 2, 3]}, ship="image") == 2


@component
def total(numbers: list[int]) -> int:
    return sum(numbers)


@case
def many_nodes(bed: Bed) -> None:
    """The thousand of the promise is a soak; the way is the same for a few."""
    workflow = Workflow("many")
    for number in range(12):
        workflow.add_component(f"n{number}", helped, x=number, **bed.settings)
    handle = bed.submit(workflow)
    assert handle.wait(90)
    nodes = bed.view(handle).nodes
    assert [node.status for node in nodes] == ["completed"] * 12
    bed.until(lambda: not bed.alive(handle.id), 10)
