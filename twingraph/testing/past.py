"""A past run of a node as a fixture: what it was given, what became of it, and the code of today on the same inputs."""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twingraph.core import codec
from twingraph.core.errors import NotFoundError, ValidationError
from twingraph.core.events import error_from_json, error_to_json
from twingraph.core.nearest import did_you_mean, nearest
from twingraph.core.plan import NodeKind
from twingraph.core.recordclass import recordclass
from twingraph.core.records import ErrorRecord
from twingraph.core.statuses import NodeStatus
from twingraph.engine.recorded import Recorded
from twingraph.executors import runner
from twingraph.sdk.base_component import BaseComponent
from twingraph.sdk.component import Component
from twingraph.sdk.value_classes import class_named
from twingraph.store.blobs.base import BlobStore
from twingraph.store.blobs.memory import MemoryBlobs
from twingraph.wiring.makers import open_home, read

FORMAT = 1
_SHOWN = 40  # characters of a value in `repr`
_KEYS = frozenset(
    ("format", "execution", "node", "component", "entry", "status", "given", "result", "error", "options", "blobs")
)
_WRITTEN = "write it again: twingraph.testing.past_run(execution, node).save(path)"


@recordclass
class _Recorded:
    """A run as texts, which any process can make values of."""

    execution: str
    node: str
    component: str
    entry: str
    status: str
    given: Mapping[str, str]
    result: str | None
    error: ErrorRecord | None
    options: str | None = None  # of a BaseComponent


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PastRun:
    """Call it to run the code of today with the recorded inputs; keyword arguments take the place of some of them."""

    _texts: _Recorded
    _blobs: BlobStore
    _key: bytes | None = None  # with which the home signs what only it may open

    def __repr__(self) -> str:
        """What ran, with what, and what came of it, each shortly; no blob is read for it."""
        texts = self._texts
        given = ", ".join(f"{name}={_shortly(text)}" for name, text in texts.given.items())
        came = f"→ {_shortly(texts.result)}" if texts.result is not None else texts.status
        if texts.error is not None:
            came = f"{texts.status}: {_cut(texts.error.words)}"
        return f"<PastRun {texts.node} of {texts.execution}: {texts.component}({given}) {came}>"

    @property
    def execution(self) -> str:
        return self._texts.execution

    @property
    def node(self) -> str:
        return self._texts.node

    @property
    def component(self) -> str:
        """The name of the component."""
        return self._texts.component

    @property
    def status(self) -> str:
        return self._texts.status

    @property
    def error(self) -> ErrorRecord | None:
        """How it failed: `code`, `error_type`, `message`, `traceback`."""
        return self._texts.error

    @property
    def inputs(self) -> dict[str, Any]:
        """What it was called with; made anew each time, so that a test may change them."""
        return {name: self._decode(text) for name, text in self._texts.given.items()}

    @property
    def result(self) -> Any:
        """What it returned; ValidationError for a run that did not complete."""
        if self._texts.result is None:
            why = f": {self.error.words}" if self.error is not None else ""
            raise ValidationError(f"{self.node} of {self.execution} is {self.status}, so it gave nothing{why}")
        return self._decode(self._texts.result)

    def __call__(self, component: Any = None, /, **changed: Any) -> Any:
        """What the component gives today, or raises. Without `component`, what the run's code is called by now."""
        target = _code_of(component if component is not None else self._found())
        unknown = [name for name in changed if name not in self._texts.given]
        if unknown and not self._texts.given:
            raise ValidationError(f"{self.node} was called without inputs, so {unknown[0]!r} cannot be changed")
        given = {name: changed[name] if name in changed else self._decode(t) for name, t in self._texts.given.items()}
        given.update((name, changed[name]) for name in unknown)
        config = self._decode(self._texts.options) if self._texts.options is not None else None
        return runner.call(target, given, config)

    def save(self, path: str | Path) -> Path:
        """Write all of it into one JSON file, so that a test needs neither the home nor the execution any more."""
        texts = self._texts
        said = [*texts.given.values(), *([texts.result] if texts.result is not None else [])]
        blobs: dict[str, str] = {}
        for text in said:
            if '"rung":"pickle"' in text or '"rung": "pickle"' in text:
                raise ValidationError(
                    f"{self.node} of {self.execution} was given, or gave, what only pickle can write, and that is "
                    "trusted only in the home that wrote it; read the run from there: past_run(...)"
                )
            for digest in codec.refs(text, blobs=self._blobs):
                blobs[digest] = base64.b64encode(bytes(self._blobs.read(digest))).decode("ascii")
        document = {
            "format": FORMAT,
            "execution": texts.execution,
            "node": texts.node,
            "component": texts.component,
            "entry": texts.entry,
            "status": texts.status,
            "given": {name: json.loads(text) for name, text in texts.given.items()},
            "result": None if texts.result is None else {"value": json.loads(texts.result)},
            "error": None if texts.error is None else error_to_json(texts.error),
            "options": texts.options,
            "blobs": blobs,
        }
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return target

    def _decode(self, text: str) -> Any:
        return codec.decode(text, blobs=self._blobs, classes=_class, key=self._key, pickle=self._key is not None)

    def _found(self) -> Any:
        module, _, qualname = self._texts.entry.partition(":")
        known = class_named(module, qualname)
        if known is None:
            try:
                importlib.import_module(module)
            except ImportError as error:
                raise ValidationError(
                    f"{self.component} stood in the module {module!r}, which cannot be imported here ({error}); give "
                    "the component: past(component)"
                ) from error
            known = class_named(module, qualname)
        if known is None:
            raise ValidationError(
                f"{module!r} has no {qualname.partition('#')[0]!r} any more; give the component: past(component)"
            )
        return known


def past_run(execution: str, node: str, *, home: str | Path | None = None) -> PastRun:
    """The last run of a node in an execution of a home; the usual one, when none is given."""
    from twingraph.settings import load

    settings = load({"home": str(home) if home is not None else None})
    opened = open_home(settings)
    reader = read(opened, settings)
    recorded = reader.recorded(reader.resolve(execution))
    return PastRun(_texts=_texts_of(recorded, node), _blobs=reader.blobs, _key=opened.secret())


def saved_run(path: str | Path) -> PastRun:
    """What `save` wrote."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFoundError(
            f"{path} cannot be read: {error.strerror}; PastRun.save(path) writes such a file"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ValidationError(f"{path} is no saved run, as it is not JSON ({error}); {_WRITTEN}") from error
    if not isinstance(document, dict) or not document.keys() >= _KEYS:
        raise ValidationError(f"{path} is no saved run; {_WRITTEN}")
    if document["format"] != FORMAT:
        raise ValidationError(
            f"{path} has the format {document['format']!r}, and this version of TwinGraph reads {FORMAT}; {_WRITTEN}"
        )
    try:
        return _loaded(document, path)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValidationError(f"{path} is damaged ({type(error).__name__}: {error}); {_WRITTEN}") from error


def _loaded(document: Mapping[str, Any], path: str | Path) -> PastRun:
    blobs = MemoryBlobs()
    for digest, data in document["blobs"].items():
        if blobs.put(base64.b64decode(data)) != digest:
            raise ValidationError(f"{path} is damaged: the blob {digest[:12]} in it is another one; {_WRITTEN}")
    result = document["result"]
    texts = _Recorded(
        execution=document["execution"],
        node=document["node"],
        component=document["component"],
        entry=document["entry"],
        status=document["status"],
        given={name: _text(value) for name, value in document["given"].items()},
        result=None if result is None else _text(result["value"]),
        error=None if document["error"] is None else error_from_json(document["error"]),
        options=document["options"],
    )
    return PastRun(_texts=texts, _blobs=blobs)


def _shortly(text: str) -> str:
    return _cut(repr(codec.plain(text, limit=5)))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _texts_of(recorded: Recorded, name: str) -> _Recorded:
    state = recorded.state
    node = state.nodes.get(name)
    if node is None:
        raise NotFoundError(f"{state.execution} has no node {name!r}", near=nearest(name, state.nodes))
    if node.kind is not NodeKind.TASK or node.spec is None:
        tasks = [one.id for one in state.nodes.values() if one.kind is NodeKind.TASK]
        raise ValidationError(f"{name} is no run of a component; {did_you_mean(name, tasks)}")
    if not node.over or node.status is NodeStatus.SKIPPED:
        raise ValidationError(f"{name} of {state.execution} has not run: it is {node.status}")
    spec = state.specs[node.spec]
    completed = node.status is NodeStatus.COMPLETED
    return _Recorded(
        execution=state.execution,
        node=name,
        component=spec.component,
        entry=spec.entry or "",
        status=str(node.status),
        given=dict(recorded.values.arguments(node)),
        result=recorded.values.whole(node) if completed else None,
        error=None if completed else node.error,
        options=spec.options,
    )


def _code_of(target: Any) -> Any:
    if isinstance(target, Component):
        return target.fn
    if isinstance(target, BaseComponent):
        return target.execute
    return target


def _class(module: str, name: str) -> Any:
    """A class that values are made of; a test may not have imported its module yet."""
    found = class_named(module, name)
    if found is None:
        importlib.import_module(module)
        found = class_named(module, name)
    return found
