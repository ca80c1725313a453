"""Every reader of what others wrote: whatever the bytes are, it reads them or raises an error of ours."""

from __future__ import annotations

import datetime
import decimal
import json
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.conducting import EACH, EXPAND, TASK, each, plan
from tests.support.foreign import spoiled
from twingraph import settings as own_settings
from twingraph.core import codec
from twingraph.core import events as ev
from twingraph.core.compile import compile_plan
from twingraph.core.errors import CodecError, StoreError, TwinGraphError, ValidationError
from twingraph.core.plan import NodeKind, PlanNode
from twingraph.core.records import ErrorRecord, Settings
from twingraph.core.workflow import parse_definition
from twingraph.engine import code, inbox
from twingraph.engine.folding import fold, restore
from twingraph.engine.kernel import State, apply, snapshot
from twingraph.sdk.code_table import CodeTable
from twingraph.sdk.library import LiveLibrary
from twingraph.sdk.registry import Registry
from twingraph.store.base import Message, Row
from twingraph.store.blobs.memory import MemoryBlobs

quick = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])

OUT = (("output", "0" * 64, 3),)
ERROR = ErrorRecord(code="user_error", error_type="ValueError", message="no", types=("ValueError", "Exception"))
DRAWN = plan(PlanNode(id="s", spec=0), each("m", "s"), PlanNode(id="nap", kind=NodeKind.SLEEP, wait=1.0))
STORY: list[ev.Event] = [
    ev.Created(Settings(max_parallel=5), inputs=("x",)),
    ev.GraphExtended(DRAWN.root.nodes, (TASK, EXPAND), {"each": EACH}),
    ev.GraphClosed(last_nodes=("m",)),
    ev.NodeEnded("s", 1, "completed", 1.0, 2.0, shape="plain", outputs=OUT),
    ev.NodeBegun("m", 1, "w"),
    ev.MapExpanded("m", 1, 0, ("a", "b", "c"), last=True),
    ev.NodeEnded("m[a]", 1, "completed", 1.0, 2.0, shape="plain", outputs=OUT),
    ev.NodeEnded("m[b]", 1, "failed", 1.0, 2.0, error=ERROR),
    ev.SignalReceived("red", OUT[0]),
    ev.PauseRequested(),
    ev.ResumeRequested(),
    ev.Adopted("me", 2),
    ev.TimerFired("node:nap"),
    ev.NodesReturned((("m[c]", 1),)),
    ev.CancelRequested(),
]
BODIES = [(ev.KINDS[type(event)], ev.body_of(event)) for event in STORY]


def told(events: list[tuple[str, str]]) -> list[Row]:
    return [Row(seq, kind, float(seq), body, None) for seq, (kind, body) in enumerate(events, 1)]


@quick
@given(st.sampled_from(sorted(ev.EVENTS)), spoiled([body for _, body in BODIES]))
def test_events(kind: str, text: str) -> None:
    with suppress(ValueError):
        ev.event_from(kind, text)


@quick
@given(st.integers(0, len(BODIES) - 1), st.data())
def test_journals(position: int, data: st.DataObject) -> None:
    kind, body = BODIES[position]
    rows = [*BODIES[:position], (kind, data.draw(spoiled([body]))), *BODIES[position + 1 :]]
    with suppress(StoreError):
        fold(State("exec-a"), told(rows))


def frozen(upto: int) -> str:
    state = State("exec-a")
    for seq, event in enumerate(STORY[:upto], 1):
        apply(state, event, float(seq), seq)
    return snapshot.text(state)


SNAPSHOTS = [frozen(count) for count in (3, 6, 9, len(STORY))]


@quick
@given(spoiled(SNAPSHOTS))
def test_snapshots(text: str) -> None:
    with suppress(StoreError):
        restore("exec-a", text, ())


@quick
@given(st.sampled_from(["signal", "cancel", "pause", "hm"]), spoiled([inbox.signal_body("red", '{"a": [1]}'), "{}"]))
def test_messages(kind: str, text: str) -> None:
    said = inbox.event_of(Message(1, 1, kind, text))
    if said is not None and kind == "signal":
        state = State("exec-a")
        for seq, event in enumerate(STORY[:3], 1):
            apply(state, event, float(seq), seq)
        apply(state, said[0], 9.0, 4)
        assert all(isinstance(line, str) for line in said[1] or ())
        json.dumps(ev.body_of(said[0])).encode("utf-8", "surrogatepass")


def values() -> tuple[list[str], MemoryBlobs]:
    blobs = MemoryBlobs()
    found = [
        {"a": [1, 2.5, None, "x"]}, (1, (2, 3)), {1, 2}, b"abc", bytearray(b"x"), 1 << 9000, float("nan"), 1 + 2j,
        range(3), slice(1, 2), datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), datetime.timedelta(1, 2),
        decimal.Decimal("1.5"), Path("/x"), OrderedDict(a=1), deque([1], 3), {1: 2}, "\ud800", ["y" * 9] * 9_000,
        b"z" * 99_000, tuple(["y" * 9] * 9_000), {"k": "v" * 99_000},
    ]  # fmt: skip
    return [codec.encode(value, blobs=blobs).text for value in found], blobs


TEXTS, BLOBS = values()
READERS: dict[str, Callable[[str], object]] = {
    "decode": lambda text: codec.decode(text, blobs=BLOBS, key=b"k", pickle=True),
    "plain": lambda text: codec.plain(text, limit=10),
    "preview": codec.preview,
    "refs": lambda text: list(codec.refs(text, blobs=BLOBS)),
    "length": codec.length,
    "element": lambda text: codec.element(text, 0, blobs=BLOBS),
    "compact": lambda text: codec.compact(text, MemoryBlobs()),
    "whole": lambda text: codec.element(text, 99, blobs=BLOBS),
}


@pytest.mark.parametrize("reader", sorted(READERS))
@quick
@given(text=spoiled(TEXTS))
def test_values(reader: str, text: str) -> None:
    with suppress(TwinGraphError, IndexError):
        READERS[reader](text)


@quick
@given(st.binary(max_size=80), st.integers(0, 2**64 - 1), st.booleans())
def test_blobs_of_lists(data: bytes, count: int, marked: bool) -> None:
    blobs = MemoryBlobs()
    tail = count.to_bytes(8, "little") + b"TGLIST1\n" if marked else b""
    text = json.dumps(
        {"$": "ref", "rung": "list", "hash": blobs.put(data + tail), "size": 1, "n": 3}, separators=(",", ":")
    )
    for read in (codec.decode, codec.refs):
        with suppress(CodecError):
            list(read(text, blobs=blobs))
    with suppress(CodecError, IndexError):
        codec.element(text, 1, blobs=blobs)


WORLD = {
    "bundle": "0" * 64, "interpreter": "/bin/sh", "working_dir": "/", "python": "3.11", "sys_path": ["/"],
    "distributions": {"x": "1"}, "body": "0" * 64,
}  # fmt: skip


@quick
@given(spoiled([json.dumps(WORLD)]))
def test_descriptions_of_code(text: str) -> None:
    with suppress(TwinGraphError):
        code.reference("v", text, MemoryBlobs())


TOML = ['home = "x"\nworkers = 3\nprogress = "live"\ninline = true\n', 'log_level = "debug"\ndurability = "full"\n']


DEEP_TOML = [
    "home = " + "[" * 100_000,
    "workers = " + "9" * 5_000,
    'home = "~nobody-has-this-name/x"',
    'home = "\\u0000"',
]


@pytest.mark.parametrize("text", DEEP_TOML)
def test_settings_that_no_parser_likes(tmp_path: Path, text: str) -> None:
    (tmp_path / "twingraph.toml").write_text(text)
    with suppress(ValidationError):
        own_settings.load({}, environ={"HOME": "/nowhere"}, folder=tmp_path)


@quick
@given(
    text=st.one_of(spoiled([json.dumps(TOML[0])]), st.sampled_from(TOML)),
    cut=st.binary(max_size=6),
    at=st.integers(0, 50),
)
def test_settings_files(tmp_path_factory: pytest.TempPathFactory, text: str, cut: bytes, at: int) -> None:
    folder = Path(FOLDER.setdefault("", str(tmp_path_factory.mktemp("toml"))))
    data = text.encode("utf-8", "surrogatepass")
    (folder / "twingraph.toml").write_bytes(data[:at] + cut + data[at:])
    with suppress(ValidationError):
        own_settings.load({}, environ={"HOME": "/nowhere"}, folder=folder)


REGISTRY = Registry()
FOLDER: dict[str, str] = {}
DEFINITION = {
    "name": "flow",
    "description": "d",
    "max_parallel": 3,
    "definition": {
        "nodes": [
            {"id": "a", "type": "component", "component": "task", "config": {"parameters": {"x": 1}}},
            {"id": "m", "type": "map", "config": {"over": "n", "component": "task"}},
            {"id": "b", "type": "branch", "config": {"condition": "a > 1"}},
            {"id": "i", "type": "input", "config": {"name": "i", "default": 3}},
        ],
        "edges": [{"source": "a", "target": "m"}, {"source": "a", "target": "b", "output": "x", "input": "y"}],
    },
}


@quick
@given(spoiled([json.dumps(DEFINITION)]))
def test_definitions(text: str) -> None:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return
    with suppress(ValidationError):
        compile_plan(parse_definition(raw), LiveLibrary(REGISTRY, CodeTable(), {}))
