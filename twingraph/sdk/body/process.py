"""A process that runs recorded bodies: the other end of `dispatch/host_process`, started with pipes as workers are.

Messages are JSON, one per line; the first line that comes in says what is served. Main thread: what comes in. Bodies
have threads of their own, and speak through the link. It ends when its pipe or its parent does.
"""

from __future__ import annotations

import faulthandler
import gc
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from twingraph.core import bodies_json, codec
from twingraph.core.bodies import BodyLog
from twingraph.core.codec import Encoded
from twingraph.core.errors import PermanentError
from twingraph.core.events import Event, is_long
from twingraph.core.plan import NodeSpec
from twingraph.executors.capture import on_import_of_logging
from twingraph.executors.slice_loader import Loaded, load
from twingraph.executors.worker import Channel, die_with_parent
from twingraph.sdk.body.host import BodyHost
from twingraph.sdk.body.speaking import speaking
from twingraph.sdk.sameness import frozen, name_body
from twingraph.sdk.signature import entry_of
from twingraph.store.blobs.base import BlobStore
from twingraph.store.blobs.catalog import open_blobs

# A history is many small objects, all of which stay: looking for garbage among them would double its cost.
_GARBAGE = 50_000
# A body that computes gives way this often to the thread that takes in what it needs next.
_SWITCH_SECONDS = 0.0005
# Bodies that were stopped so that this process can end have so long, for what they do besides waiting.
LEAVE_SECONDS = 5.0
_ROOT = str(Path(__file__).parents[3])


class PipeLink:
    """A `core.bodies.Link` whose conductor is at the other end of a pipe. Blocks while that is full."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._numbers = itertools.count()  # of long events

    def say(self, *message: Any) -> None:
        self._channel.send(json.dumps(message, separators=(",", ":")) + "\n")

    def feed(self, execution: str, event: Event, lines: Sequence[str] | None, specs: Sequence[NodeSpec] = ()) -> None:
        if is_long(event):
            number = next(self._numbers)
            for piece in bodies_json.pieces_to_json(event):
                self.say("piece", execution, number, piece)
            self.say("whole", execution, number, *bodies_json.beside_to_json(lines, specs))
        else:
            self.say("feed", execution, *bodies_json.fed_to_json(event, lines, specs))

    def ask(self, execution: str, scope: str, number: int, what: str, about: str) -> None:
        self.say("ask", execution, scope, number, what, about)

    def reopen(self, execution: str, scope: str) -> None:
        self.say("reopen", execution, scope)

    def log(self, execution: str, lines: Sequence[BodyLog]) -> None:
        self.say("log", execution, bodies_json.logs_to_json(lines))


class RecordedCoder:
    """Values as workers write and read them: recorded modules bear the names under which they were shipped."""

    def __init__(self, blobs: BlobStore, secret: bytes | None) -> None:
        self._blobs = blobs
        self._how: dict[str, Any] = {"blobs": blobs, "key": secret, "pickle": secret is not None}

    def encode(self, value: Any, path: str, special: dict[type, Callable[[Any], Any]] | None = None) -> Encoded:
        return codec.encode(value, path=path, special=special, named=self.class_name, **self._how)

    def decode(self, text: str) -> Any:
        return codec.decode(text, **self._how)

    def class_name(self, kind: type) -> str:
        return f"{kind.__module__}:{kind.__qualname__}"


class RecordedWorld:
    """The `World` of one code version. `bodies` is the file of its bodies, `components` that of what workers load."""

    def __init__(self, bodies: str, components: str, blobs: BlobStore, coder: RecordedCoder, link: PipeLink) -> None:
        self._bodies, self._components = bodies, components
        self._blobs, self._coder, self._link = blobs, coder, link
        self._loaded: Loaded | None = None
        self._hashes: dict[str, str | None] | None = None  # by entry that workers can load: of its code
        self._late: dict[tuple[str, str], tuple[Any, str, str | None]] = {}  # (state, version, hash)
        self._named: dict[str, Any] = {}  # bodies that were told apart, or that the recorded ones have made
        self._lock = threading.Lock()
        self._waiting: dict[int, SimpleQueue[tuple[str | None, str | None]]] = {}
        self._numbers = 0

    def find(self, execution: str, entry: str, bundle: str | None) -> Callable[..., Any]:
        loaded = self._load()
        if entry in self._named:
            named: Callable[..., Any] = self._named[entry].fn
            return named
        known = loaded.entries.get(entry)
        if known is None:
            raise PermanentError(f"the recorded code has no pipeline {entry!r}; go on with `--code current`")
        if known["mode"] == "refused":
            raise PermanentError(f"{entry} could not be recorded: {known['note']}; go on with `--code current`")
        found = loaded.get(entry)
        function: Callable[..., Any] = getattr(found, "fn", found)
        return function

    def _load(self) -> Loaded:
        with self._lock:
            if self._loaded is None:
                self._loaded = load(_read(self._bodies))
            return self._loaded

    def coder(self, execution: str) -> RecordedCoder:
        return self._coder

    def body_entry(self, execution: str, pipeline: Any) -> str:
        loaded, name = self._load(), entry_of(pipeline)
        for key, entry in loaded.entries.items():
            if key.partition("#")[0] == name and key not in self._named and entry["mode"] != "refused":
                self._named.setdefault(key, loaded.get(key))
        return name_body(self._named, pipeline)

    def locate(self, execution: str, objects: Mapping[str, Any]) -> str | None:
        from twingraph.sdk import packing

        recorded, version = self._recorded(), None
        for entry, target in objects.items():
            if not packing.holds(recorded, entry, target):
                version = self._locate_late(execution, entry, target)
        return version

    def _recorded(self) -> dict[str, str | None]:
        with self._lock:
            if self._hashes is None:
                self._hashes = {key: entry.get("hash") for key, entry in _read(self._components)["entries"].items()}
            return self._hashes

    def _locate_late(self, execution: str, entry: str, target: Any) -> str:
        known, state = self._late.get((execution, entry)), frozen(target)
        if known is None or known[0] != state:
            from twingraph.sdk import packing

            loaded = self._load()
            classes = {key: loaded.get(key) for key in loaded.entries if key.startswith("class ")}
            packed = packing.pack({entry: target, **classes})
            version = self._ask(execution, self._blobs.put(packed.data), packed.packages)
            known = self._late[execution, entry] = state, version, packed.hashes.get(entry)
        return known[1]

    def code_hash(self, execution: str, entry: str) -> str | None:
        late = self._late.get((execution, entry))
        return late[2] if late is not None else self._recorded().get(entry)

    def _ask(self, execution: str, bundle: str, packages: Iterable[str]) -> str:
        answer: SimpleQueue[tuple[str | None, str | None]] = SimpleQueue()
        with self._lock:
            self._numbers += 1
            number = self._numbers
            self._waiting[number] = answer
        self._link.say("locate", execution, number, bundle, list(packages))
        version, problem = answer.get()
        if version is None:
            raise PermanentError(problem or "its code cannot be kept")
        return version

    def located(self, number: int, version: str | None, problem: str | None) -> None:
        with self._lock:
            waiting = self._waiting.pop(number, None)
        if waiting is not None:
            waiting.put((version, problem))

    def forget(self, execution: str) -> None:
        for key in [key for key in self._late if key[0] == execution]:
            del self._late[key]


def _read(path: str) -> dict[str, Any]:
    if not path:
        return {"entries": {}}
    with open(path, encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
        return found


def _keep_info(logging: Any) -> None:
    """What bodies log from INFO on is kept, as of components in a worker. In a script's own process the level of the
    root logger is the author's, and decides what everybody else there prints."""
    speaking.listen()
    root = logging.getLogger()
    if root.level == logging.WARNING:
        root.setLevel(logging.INFO)


# -- the process -------------------------------------------------------------------------------------------


def serve(lines: Iterable[bytes], host: BodyHost, world: RecordedWorld) -> None:
    """Take every message to the host, in order, until the end or `leave`."""
    for line in lines:
        kind, *rest = json.loads(line)
        if kind == "open":
            host.open(bodies_json.opened_from_json(rest))
        elif kind == "page":
            host.page(rest[0], rest[1], bodies_json.page_from_json(rest[2]))
        elif kind == "ended":
            host.ended(rest[0], rest[1], bodies_json.ended_from_json(rest[2]))
        elif kind == "items":
            host.items(rest[0], rest[1], bodies_json.items_from_json(rest[2]))
        elif kind == "answer":
            host.answer(rest[0], rest[1], rest[2], rest[3])
        elif kind == "stop":
            host.stop(rest[0], rest[1], rest[2])
        elif kind == "located":
            world.located(rest[0], rest[1], rest[2])
        elif kind == "leave":
            _await_stopped(host)
            return


def _await_stopped(host: BodyHost) -> None:
    """A side effect that runs shall be told of, so that it is not done again elsewhere."""
    deadline = time.monotonic() + LEAVE_SECONDS
    while host.live() and time.monotonic() < deadline:
        time.sleep(0.01)


def main(incoming: int, outgoing: int, life: int, shared: int) -> None:
    """With the descriptors that `dispatch/spawner` gives."""
    die_with_parent(life)
    gc.set_threshold(_GARBAGE, 20, 20)
    sys.setswitchinterval(_SWITCH_SECONDS)
    faulthandler.enable(2)
    os.close(shared)
    reader = os.fdopen(incoming, "rb", 1 << 18)
    channel = Channel(outgoing)
    for descriptor in (incoming, outgoing, life):
        os.set_inheritable(descriptor, False)
    os.register_at_fork(after_in_child=channel.close_in_child)
    given = json.loads(reader.readline())
    sys.path[:] = [*(given["sys_path"] or sys.path)]
    if _ROOT not in sys.path:
        sys.path.append(_ROOT)
    on_import_of_logging(_keep_info)
    link = PipeLink(channel)
    blobs = open_blobs(given["blobs"])
    coder = RecordedCoder(blobs, bytes.fromhex(given["secret"]) if given["secret"] else None)
    world = RecordedWorld(given["bodies"], given["components"], blobs, coder, link)
    link.say("hello")
    try:
        serve(reader, BodyHost(link, world, shows_prints=lambda: False), world)
    finally:
        os._exit(0)  # threads of bodies shall not keep it alive
