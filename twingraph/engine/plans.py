"""The static plan of what an execution runs: made once per code version and body, in a process that is thrown away.

A run never makes one. The body is the author's code, and following it runs that; so it happens under the recorded
interpreter, in the recorded folder, with a time limit, and where nothing else lives.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twingraph.core.errors import DamagedError, TwinGraphError
from twingraph.core.events import Created, event_from
from twingraph.core.static_plan import StaticPlan
from twingraph.dispatch.base import CodeRef
from twingraph.engine import code
from twingraph.store.base import Records
from twingraph.store.blobs.base import BlobStore

SECONDS = 30.0
# What texts that somebody else wrote may lead to.
_UNREADABLE = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
Make = Callable[[CodeRef, str], str]
_ROOT = str(Path(__file__).parents[2])
_BEGIN = "import sys; sys.path.insert(0, {root!r}); from twingraph.sdk.body.tracing_process import main; main()"


def plan_of(records: Records, blobs: BlobStore, execution: str, make: Make | None = None) -> StaticPlan | None:
    """None for a drawn workflow, whose plan is what was drawn. TwinGraphError where none can be made."""
    entry = _entry(records, execution)
    version = records.record(execution).code_version
    if entry is None or version is None:
        return None
    text = records.plan(version, entry)
    if text is None:
        text = _made(records, blobs, version, entry, make or make_in_process)
        records.keep_plan(version, entry, text)
    return read(text)


def read(text: str) -> StaticPlan:
    """A plan as it was kept."""
    try:
        return StaticPlan.from_dict(json.loads(text))
    except _UNREADABLE as error:
        raise DamagedError(f"a plan that was kept is damaged: {error}") from error


def _entry(records: Records, execution: str) -> str | None:
    """Of the body that drives the execution."""
    for row in records.rows(execution, values=False):
        event = event_from(row.kind, row.body)
        if isinstance(event, Created):
            return event.body
    return None


def _made(records: Records, blobs: BlobStore, version: str, entry: str, make: Make) -> str:
    world = records.code(version)
    if world is None:
        raise TwinGraphError(f"the code of version {version} is not kept in this home any more")
    found = code.reference(version, world, blobs)
    if not found.body_path:
        raise TwinGraphError("the body of this execution was not recorded, so no plan of it can be made")
    return make(found, entry)


def make_in_process(found: CodeRef, entry: str, seconds: float = SECONDS) -> str:
    """The plan of one recorded body, as JSON."""
    with tempfile.TemporaryDirectory(prefix="twingraph-plan-") as folder:
        answer = Path(folder) / "plan.json"
        request = {"bundle": found.body_path, "entry": entry, "sys_path": list(found.sys_path), "answer": str(answer)}
        heard = _run(found, json.dumps(request).encode(), seconds)
        if not answer.exists():
            raise TwinGraphError(f"the plan could not be made: {heard or 'its process ended without a word'}")
        said = answer.read_bytes()
    return answered(said)


def answered(said: bytes) -> str:
    """The plan in the answer of a process that ran the author's code."""
    try:
        told = json.loads(said)
        if "plan" in told:
            plan: dict[str, Any] = told["plan"]
            return json.dumps(StaticPlan.from_dict(plan).to_dict(), ensure_ascii=False, separators=(",", ":"))
        why = told.get("error")
    except _UNREADABLE as error:
        why = f"its answer cannot be read: {error}"
    raise TwinGraphError(f"the plan could not be made: {why}")


def _run(found: CodeRef, request: bytes, seconds: float) -> str:
    """Wait for the process, whatever the author's code does in it; gives the last of what it said."""
    process = subprocess.Popen(
        [found.interpreter, "-c", _BEGIN.format(root=_ROOT)],
        cwd=found.working_dir or None,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, said = process.communicate(request, timeout=seconds)
    except subprocess.TimeoutExpired:
        _kill(process)
        process.communicate()
        return f"loading its code took longer than {seconds:g} s"
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _kill(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
