"""The one place where the real makers are chosen and joined: store, blobs, dispatch, conductor.

`runtime()` gives this process a conductor; `open_reader()` reads executions of any process without one.
"""

from __future__ import annotations

import atexit
import os
import secrets
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twingraph.core import codec
from twingraph.core.errors import (
    ConflictError,
    NotFoundError,
    PermanentError,
    Problem,
    TwinGraphError,
    ValidationError,
)
from twingraph.core.events import PauseRequested
from twingraph.core.ids import execution_id
from twingraph.core.inputs import bind_inputs, rebind_inputs
from twingraph.core.statuses import EXECUTION_OVER, ExecutionStatus
from twingraph.dispatch.base import CodeRef, Dispatch
from twingraph.engine import code as code_versions
from twingraph.engine.conductor import Conductor
from twingraph.engine.handle import Handle
from twingraph.engine.held import Kept, Submission
from twingraph.executors.context import loading
from twingraph.settings import Settings
from twingraph.settings import load as load_settings
from twingraph.store.blobs.local import LocalBlobs
from twingraph.store.home import Home
from twingraph.store.locks import FileLock
from twingraph.store.sqlite.journal import SqliteJournal
from twingraph.store.sqlite.schema import prepare

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from twingraph.core.bodies import Host
    from twingraph.core.execution import ExecutionRecord
    from twingraph.core.plan import Plan
    from twingraph.engine.hosting import HostProcesses
    from twingraph.engine.kernel import Node, State
    from twingraph.engine.reader import Followed, Reader
    from twingraph.engine.replay import Earlier
    from twingraph.engine.values import Values
    from twingraph.sdk.body.host import BodyHost
    from twingraph.sdk.body.live import LiveWorld
    from twingraph.sdk.packing import Packed
    from twingraph.sdk.prepared import CompiledPipeline
    from twingraph.sdk.workflow_builder import CompiledWorkflow

# Where this version can carry a node out.
PLATFORMS = ("local",)
# While executions run in the process of a script, its other threads give way this often.
SWITCH_INTERVAL = 0.0005


def read(home: Home) -> Reader:
    """A reader of this home. Its modules load on first use: a run that nobody looks at never pays for them."""
    from twingraph.engine.reader import Reader
    from twingraph.store.sqlite.records import SqliteRecords

    return Reader(SqliteRecords(home), LocalBlobs(home.path))


class Runtime:
    """A conductor with everything it needs, in a thread of this process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = _open_home(settings)
        self.blobs = LocalBlobs(self.home.path)
        self.secret = self.home.secret()
        self.handles: dict[str, Handle] = {}
        self.shows_prints = True  # what bodies print goes to this process's streams, beside their logs
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._alive = FileLock(self.home.run / f"{self._name}.lock")
        self._alive.take()
        self._codes: dict[str, CodeRef] = {}
        # Running the same workflow again in one process slices nothing anew while its files stand as they were.
        self._packed: dict[tuple[Any, ...], tuple[Packed, tuple[str, CodeRef]]] = {}
        self._world: LiveWorld | None = None  # of the pipelines that this process declares,
        self._host: BodyHost | None = None  # and where their bodies run
        self._processes: HostProcesses | None = None  # where those of all others do
        self.conductor = Conductor(
            self._name,
            make_journal=lambda: SqliteJournal(self.home, durability=settings.durability),
            dispatch=_dispatch(settings, self.home, self.secret),
            blobs=self.blobs,
            code_of=self._code_of,
            kept_of=self._kept_of,
            hosts=self._host_for,
            hash_of=_hash_of,
            began=self._began,
            platforms=PLATFORMS,
        )
        sys.setswitchinterval(SWITCH_INTERVAL)
        self.conductor.start()

    # -- starting --------------------------------------------------------------------------------

    def submit(
        self,
        compiled: CompiledWorkflow,
        inputs: Mapping[str, Any],
        *,
        origin: str = "script",
        target: str | None = None,
        old: Earlier | None = None,
        refresh: bool = False,
    ) -> Handle:
        """Start an execution of a compiled workflow, with the inputs and finished nodes of `old` if there is one.

        `refresh` runs everything, also what a cache could answer; no cache answers yet.
        """
        _check_platforms(compiled.plan)
        if old is not None:
            texts, objects = rebind_inputs(compiled.plan, old.inputs), self._with_classes(compiled, old)
        else:
            texts, objects = self._encode_inputs(compiled, inputs)
        version, reference, hashes = self._pack(objects, compiled.sources)
        return self._start(
            Submission(
                id=_new_id(),
                plan=with_hashes(compiled.plan, hashes),
                inputs=texts,
                settings=compiled.settings,
                workflow_id=compiled.workflow_id or target or compiled.plan.name,
                origin=origin,
                target=target,
                code_version=version,
                code=reference,
                code_body=code_versions.body(reference) if reference else None,
                replay_of=old.execution if old is not None else None,
                kept=old.kept if old is not None else None,
            )
        )

    def submit_pipeline(
        self,
        compiled: CompiledPipeline,
        inputs: Mapping[str, Any],
        *,
        origin: str = "script",
        target: str | None = None,
        old: Earlier | None = None,
        refresh: bool = False,
    ) -> Handle:
        """Start an execution that a body of this process drives. The same for pipelines as `submit` for drawn ones."""
        texts, objects = self._pipeline_inputs(compiled, inputs, old)
        version, reference, hashes = self._pack(objects, {}, compiled.bodies)
        self._live().know(version, compiled.bodies, objects, hashes)
        return self._start(
            Submission(
                id=_new_id(),
                name=compiled.name,
                body=compiled.entry,
                specs=compiled.specs,
                inputs=texts,
                settings=compiled.settings,
                workflow_id=compiled.workflow_id or target or compiled.name,
                origin=origin,
                target=target,
                code_version=version,
                code=reference,
                code_body=code_versions.body(reference) if reference else None,
                replay_of=old.execution if old is not None else None,
                kept=old.kept if old is not None else None,
            )
        )

    def _pipeline_inputs(
        self, compiled: CompiledPipeline, inputs: Mapping[str, Any], old: Earlier | None
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """The inputs' texts, and what is to be shipped."""
        from twingraph.sdk.value_classes import ValueClasses

        classes = ValueClasses(dict(compiled.objects))
        if old is not None:
            texts = {name: text for name, text in old.inputs.items() if compiled.takes(name)}
            compiled.check_names(texts)
            for text in texts.values():
                classes.take(text)
        else:
            compiled.check(inputs)
            texts = {
                name: classes.encode(value, blobs=self.blobs, pickle=True, key=self.secret, path=f"inputs.{name}").text
                for name, value in inputs.items()
            }
        return texts, classes.found

    def _start(self, submission: Submission) -> Handle:
        handle = self.conductor.submit(submission)
        self._began(handle)
        return handle

    def _began(self, handle: Handle) -> None:
        for known, held in list(self.handles.items()):  # other threads start executions too
            if held.wait(0):
                self.handles.pop(known, None)
        self.handles[handle.id] = handle

    def _encode_inputs(
        self, compiled: CompiledWorkflow, inputs: Mapping[str, Any]
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """The inputs' texts, and what is to be shipped: the components, and the classes of these values."""
        from twingraph.sdk.value_classes import ValueClasses

        classes = ValueClasses(dict(compiled.objects))

        def encode(value: Any) -> str:
            return classes.encode(value, blobs=self.blobs, pickle=True, key=self.secret, path="inputs").text

        return bind_inputs(compiled.plan, inputs, encode, compiled.checks), classes.found

    def _with_classes(self, compiled: CompiledWorkflow, old: Earlier) -> dict[str, Any]:
        from twingraph.sdk.value_classes import ValueClasses

        classes = ValueClasses(dict(compiled.objects))
        for text in old.inputs.values():
            classes.take(text)
        return classes.found

    def _pack(
        self, objects: Mapping[str, Any], sources: Mapping[str, str], bodies: Mapping[str, Any] | None = None
    ) -> tuple[str | None, CodeRef | None, Mapping[str, str]]:
        """The code version, where its bundles are, and the hash of each entry."""
        if not objects and not sources and not bodies:
            return None, None, {}
        from twingraph.sdk import packing

        key = (*packing.key_of(objects, sources, bodies), os.getcwd(), tuple(sys.path))
        known = self._packed.get(key)
        if known is not None and known[0].is_fresh():
            return *known[1], known[0].hashes
        packed = packing.pack_pipeline(objects, sources, bodies) if bodies else packing.pack(objects, sources)
        body = self.blobs.put(packed.body) if packed.body else None
        described = code_versions.describe(self.blobs.put(packed.data), self.blobs, packed.packages, body)
        self._packed[key] = packed, described
        return *described, packed.hashes

    # -- bodies of pipelines ---------------------------------------------------------------------

    def _live(self) -> LiveWorld:
        """The world of bodies that run in this process; loaded with the first pipeline."""
        if self._world is None:
            from twingraph.sdk.body.host import BodyHost
            from twingraph.sdk.body.live import LiveWorld

            how = {"blobs": self.blobs, "pickle": True, "key": self.secret}
            self._world = LiveWorld(pack=self._pack_late, decode=self.decode, how=how)
            self._host = BodyHost(self.conductor.link, self._world, shows_prints=lambda: self.shows_prints)
        return self._world

    def _host_for(self, execution: str, code: CodeRef | None) -> Host:
        """Where the bodies of an execution run. Called on the conductor's thread."""
        world = self._live()
        if not world.takes(execution, code.version if code is not None else None):
            return self._recorded_host(execution, code)
        assert self._host is not None
        return self._host

    def _recorded_host(self, execution: str, code: CodeRef | None) -> Host:
        """For bodies that are not this process's own: a process that loads them as they were recorded."""
        if code is None or not code.body_path:
            raise ConflictError(
                f"{execution} is a pipeline that another process has started, and the code of its body was not "
                "recorded: go on with `--code current`"
            )
        if self._processes is None:
            from twingraph.engine.hosting import HostProcesses

            home, link = str(self.home.path), self.conductor.link
            self._processes = HostProcesses(
                lambda: link, self._keep_beside, blobs_path=home, secret=self.secret, crowded=lambda: link.crowded
            )
        return self._processes.host_for(execution, code)

    def _keep_beside(self, execution: str, code: CodeRef, bundle: str, packages: Sequence[str]) -> str:
        """What a body in another process calls and nobody could see before. Called on the conductor's thread."""
        version, reference = code_versions.beside(code, bundle, self.blobs, packages)
        self._keep(version, reference)
        return version

    def _pack_late(self, objects: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
        """Record what a body calls and nobody could see before. Called on threads of bodies."""
        version, reference, hashes = self._pack(objects, {})
        assert version is not None
        assert reference is not None
        self._keep(version, reference)
        return version, hashes

    def _keep(self, version: str, reference: CodeRef) -> None:
        journal = SqliteJournal(self.home)
        try:
            journal.keep_code(version, code_versions.body(reference), time.time())
        finally:
            journal.close()
        self._codes[version] = reference

    def body_error(self, execution: str) -> BaseException | None:
        """What left the body of an execution that ran in this process."""
        return self._host.exceptions.pop(execution, None) if self._host is not None else None

    def send_signal(self, execution: str, name: str, text: str) -> None:
        """Give an execution a signal, wherever it runs; `text` is the value as JSON text."""
        with closing(read(self.home)) as reader:
            reader.send_signal(execution, name, text)

    def resume(
        self,
        execution: str,
        *,
        code: str = "recorded",
        compiled: CompiledWorkflow | CompiledPipeline | None = None,
    ) -> Handle | Followed:
        """Go on with what stopped, attach to what runs, replay what failed with its finished nodes kept.

        With `code` 'current' the caller brings the workflow as it is now.
        """
        with closing(read(self.home)) as reader:
            record = reader.record(execution)
            if record.owner == "alive" and execution not in self.handles:
                return self._follow(execution)
            if record.status is ExecutionStatus.COMPLETED:
                again = f"; run it again with: twingraph run {record.target}" if record.target else ""
                raise ConflictError(f"{execution} is completed{again}")
            if record.status not in EXECUTION_OVER and code == "recorded":
                handle = self.handles[execution] = self.conductor.adopt(execution)
                return handle
            if record.status not in EXECUTION_OVER:
                if compiled is not None:  # code that cannot run must not cost what has been done so far
                    self._try_out(compiled, reader.earlier(execution))
                self.cancel(execution)  # an execution never mixes two code versions
            return self._replay(reader.earlier(execution), record, compiled)

    def _try_out(self, compiled: CompiledWorkflow | CompiledPipeline, old: Earlier) -> None:
        """Whether this code could be started with the inputs of `old`; raises what would be in the way."""
        if _is_pipeline(compiled):
            self._pack(self._pipeline_inputs(compiled, {}, old)[1], {}, compiled.bodies)
        else:
            _check_platforms(compiled.plan)
            rebind_inputs(compiled.plan, old.inputs)
            self._pack(self._with_classes(compiled, old), compiled.sources)

    def _follow(self, execution: str) -> Followed:
        from twingraph.engine.reader import Followed

        return Followed(read(self.home), execution)

    def _replay(
        self, old: Earlier, record: ExecutionRecord, compiled: CompiledWorkflow | CompiledPipeline | None
    ) -> Handle:
        if compiled is not None and _is_pipeline(compiled):
            return self.submit_pipeline(compiled, {}, origin=record.origin, target=record.target, old=old)
        if compiled is not None:
            return self.submit(compiled, {}, origin=record.origin, target=record.target, old=old)
        reference = self._code_of(record.code_version) if record.code_version else None
        return self._start(
            Submission(
                id=_new_id(),
                name=record.name,
                plan=old.plan,
                body=old.body,
                specs=old.specs,
                inputs=old.inputs,
                settings=old.settings,
                workflow_id=record.workflow_id,
                origin=record.origin,
                target=record.target,
                code_version=record.code_version,
                code=reference,
                replay_of=old.execution,
                kept=old.kept,
            )
        )

    # -- ending ----------------------------------------------------------------------------------

    def cancel(self, execution: str, timeout: float = 10.0) -> None:
        """Stop an execution wherever it runs; returns when it has ended."""
        with closing(read(self.home)) as reader:
            record = reader.record(execution)
        if record.status in EXECUTION_OVER:
            raise ConflictError(f"{execution} has already ended: {record.status}")
        handle: Handle | Followed
        if record.owner == "alive" and execution not in self.handles:
            handle = self._follow(execution)
            handle.cancel()
        else:
            handle = self.handles[execution] = self.conductor.cancel(execution)
        if not handle.wait(timeout):
            raise TwinGraphError(f"{execution} has not ended within {timeout:g} s of being cancelled")

    def interrupt(self, execution: str, *, kill: bool) -> None:
        self.conductor.interrupt(execution, kill=kill)

    def pause(self, execution: str) -> None:
        self.conductor.feed(execution, PauseRequested())

    def unfinished(self) -> list[Handle]:
        return [handle for handle in list(self.handles.values()) if not handle.wait(0)]

    def forked(self) -> None:
        """In a forked child: what its parent carries out stays its parent's."""
        for handle in self.handles.values():
            handle.forked(TwinGraphError(f"{handle.id} is carried out by the process that this one was forked from"))

    def close(self) -> None:
        self.conductor.stop()
        if self._processes is not None:
            self._processes.close()
        self._alive.release()
        (self.home.run / f"{self._name}.lock").unlink(missing_ok=True)
        self.home.close()

    def stopped_before(self, execution: str) -> list[ExecutionRecord]:
        """Earlier executions of the same workflow that stand still and can be resumed."""
        with closing(read(self.home)) as reader:
            workflow = reader.record(execution).workflow_id
            found, _ = reader.executions(workflow_id=workflow, limit=50)
        return [
            record
            for record in found
            if record.id != execution
            and (
                record.status is ExecutionStatus.PAUSED
                or (record.owner == "gone" and record.status not in EXECUTION_OVER)
            )
        ]

    # -- values ----------------------------------------------------------------------------------

    def decode(self, text: str) -> Any:
        """A stored value as a Python value of this process."""
        return codec.decode(text, blobs=self.blobs, classes=_class_of, key=self.secret, pickle=True)

    def decode_exception(self, text: str) -> Mapping[str, Any]:
        """The arguments and attributes of an exception, as far as they can be built here."""
        try:
            return dict(self.decode(text))
        except Exception:  # a class in it may be gone: the error's description has to do
            return {}

    def _kept_of(self, execution: str) -> Mapping[str, Kept]:
        """What a replay of this execution keeps; asked on the conductor's thread when a replay is taken over."""
        with closing(read(self.home)) as reader:
            return reader.earlier(execution).kept

    # -- code ------------------------------------------------------------------------------------

    def _code_of(self, version: str) -> CodeRef:
        """The recorded code, checked to be usable here. Called on the conductor's thread or the caller's."""
        known = self._codes.get(version)
        if known is None:
            journal = SqliteJournal(self.home)
            try:
                body = journal.code(version)
            finally:
                journal.close()
            if body is None:
                raise NotFoundError(f"the code version {version[:12]} is not in {self.home.path}")
            known = code_versions.reference(version, body, self.blobs)
            code_versions.check_packages(known)
            self._codes[version] = known
        return known


def _class_of(module: str, name: str) -> Any:
    """Classes of the script itself are recorded under its file's stem; importing that would run the script again."""
    from twingraph.sdk.slicing.sources import shipped_main
    from twingraph.sdk.value_classes import class_named

    found = class_named(module, name)
    if found is None and module not in sys.modules and shipped_main() == module:
        raise LookupError(f"{name} is not in the script")
    return found


def _is_pipeline(compiled: CompiledWorkflow | CompiledPipeline) -> TypeIs[CompiledPipeline]:
    return hasattr(compiled, "bodies")


def _hash_of(state: State, values: Values, node: Node) -> str | None:
    from twingraph.engine.identity import hash_of

    return hash_of(state, values, node)


def with_hashes(plan: Plan, hashes: Mapping[str, str]) -> Plan:
    """The plan with the hash of the code behind each of its specs."""
    specs = (replace(spec, code_hash=hashes.get(spec.entry or "")) for spec in plan.specs)
    return replace(plan, specs=tuple(specs))


def _check_platforms(plan: Plan) -> None:
    """A node must never run elsewhere than its author said."""
    wrong = [
        Problem(
            node=spec.component,
            field="platform",
            message=f"{spec.platform!r} cannot be used yet: this version carries nodes out on {', '.join(PLATFORMS)}",
        )
        for spec in plan.specs
        if spec.platform not in PLATFORMS
    ]
    if wrong:
        raise ValidationError(wrong)


def _new_id() -> str:
    return execution_id(time.time_ns() // 1_000_000, secrets.randbits(35))


def _dispatch(settings: Settings, home: Home, secret: bytes) -> Dispatch:
    if settings.inline:
        from twingraph.dispatch.inline import InlineDispatch

        return InlineDispatch(blobs_path=str(home.path), secret_key=secret)
    from twingraph.dispatch.embedded import EmbeddedPool, PoolOptions

    options = PoolOptions() if settings.workers is None else PoolOptions(workers=settings.workers)
    return EmbeddedPool(options, blobs_path=str(home.path), secret_key=secret)


def _open_home(settings: Settings) -> Home:
    home = Home(Path(settings.home)).open()
    prepare(home)
    return home


_runtimes: dict[Path, Runtime] = {}
_lock = threading.Lock()


def runtime(home: str | None = None, workers: int | None = None, settings: Settings | None = None) -> Runtime:
    """This process's runtime for a home; started at the first call."""
    if loading:
        raise PermanentError(
            f"a workflow is run while a worker loads the code of {loading[-1]}: the statement that runs it also makes "
            "something that the component uses; put the run below `if __name__ == '__main__':` or into a function"
        )
    if settings is None:
        settings = load_settings({"home": home, "workers": workers})
    key = Path(settings.home).absolute()
    with _lock:
        known = _runtimes.get(key)
        if known is not None and not known.conductor.usable:
            known.close()  # what it held must be seen to be free
            known = None
        if known is None:
            known = _runtimes[key] = Runtime(settings)
        return known


def open_reader(home: str | None = None, settings: Settings | None = None) -> Reader:
    return read(_open_home(settings or load_settings({"home": home})))


def close_all(*, wait: bool = True) -> None:
    """End every runtime of this process; with `wait` only after what was submitted is over."""
    for known in list(_runtimes.values()):
        left = known.unfinished() if wait else []
        if left:
            names = ", ".join(handle.id for handle in left)
            print(f"twingraph: waiting for {len(left)} unfinished execution(s): {names}", file=sys.stderr)
            try:
                for handle in left:
                    handle.wait()
            except KeyboardInterrupt:
                for handle in left:
                    known.interrupt(handle.id, kill=True)
                    handle.wait(10)
        known.close()
    _runtimes.clear()


def _forget_in_child() -> None:
    """A forked child begins anew: neither its end nor its runs touch what its parent holds."""
    global _lock
    _lock = threading.Lock()
    for known in _runtimes.values():
        known.forked()
    _runtimes.clear()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
