"""Replays: what a conductor is asked to carry out, made of an earlier execution and of what is wished otherwise."""

from __future__ import annotations

import shlex
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twingraph.core.codec import Encoded
from twingraph.core.errors import ConflictError, NotFoundError, Problem, ValidationError
from twingraph.core.inputs import changed_inputs, check_given
from twingraph.core.nearest import did_you_mean
from twingraph.core.plan import Hole, NodeKind, Source
from twingraph.core.records import Changes
from twingraph.core.signatures import Parameter
from twingraph.core.wishes import Wish
from twingraph.engine.alone import Alone, alone, with_spec
from twingraph.engine.recorded_code import parameters_of, types_of
from twingraph.engine.repeating import may_repeat
from twingraph.engine.replay import Earlier, earlier, resumed
from twingraph.engine.wishes import changes_for, drawn_inputs, failed_of, keys_of, known_nodes
from twingraph.sdk.signature import checker
from twingraph.sdk.value_classes import ValueClasses
from twingraph.store.blobs.base import BlobStore
from twingraph.wiring.current_code import as_it_is_now
from twingraph.wiring.submissions import Submissions, is_pipeline
from twingraph.wiring.values import ProcessValues

if TYPE_CHECKING:
    from twingraph.dispatch.base import CodeRef
    from twingraph.engine.held import Submission
    from twingraph.engine.recorded import Recorded
    from twingraph.sdk.prepared import CompiledPipeline
    from twingraph.sdk.workflow_builder import CompiledWorkflow


class Replays:
    """Makes them; nothing begins by that. Loaded with the first replay."""

    def __init__(self, submissions: Submissions, values: ProcessValues, blobs: BlobStore) -> None:
        self._submissions = submissions
        self._values = values
        self._blobs = blobs

    def submission(
        self,
        recorded: Recorded,
        wish: Wish,
        compiled: CompiledWorkflow | CompiledPipeline | None,
        *,
        debugs: bool = False,
    ) -> Submission:
        """`compiled` is the code as it is now; None: as it was recorded. `debugs`: somebody will take a long look."""
        wish.check()
        if recorded.alone is not None and compiled is not None and wish.node is None:
            if recorded.created.body is None:
                wish = _still_alone(recorded, wish)
            else:
                compiled = _pipeline_of(recorded, compiled)
        if wish.node is not None:
            return self._alone(recorded, wish, compiled, debugs=debugs)
        record = recorded.record
        texts = self._inputs(recorded, wish.inputs, compiled)
        plan = compiled.plan if compiled is not None and not is_pipeline(compiled) else None
        changes, given = changes_for(recorded, wish, texts, self._encode, plan)
        changes = replace(changes, alone=recorded.alone)
        repeats = compiled is None and not texts and self._may_repeat(recorded)
        old = earlier(recorded, changes, given, repeats=repeats)
        old = replace(old, inputs={**old.inputs, **texts})
        if compiled is None:
            return self._submissions.recorded(record, old)
        return self._submissions.compiled(compiled, {}, origin=record.origin, target=record.target, old=old)

    def resumed(self, recorded: Recorded, compiled: CompiledWorkflow | CompiledPipeline | None) -> Submission:
        """What goes on with an execution that ended too early: all that had finished there is kept."""
        record, old = recorded.record, resumed(recorded)
        if compiled is None:
            return self._submissions.recorded(record, old)
        if recorded.alone is not None and recorded.created.body is None:
            made = self._alone(recorded, Wish(node=recorded.alone), compiled, debugs=False)
            return replace(made, kept=old.kept, changes=old.changes)
        if recorded.alone is not None:
            compiled = _pipeline_of(recorded, compiled)
        return self._submissions.compiled(compiled, {}, origin=record.origin, target=record.target, old=old)

    def _encode(self, value: Any, path: str) -> Encoded:
        return ValueClasses().encode(value, path=path, **self._values.how)

    def _texts(self, given: Mapping[str, Any]) -> dict[str, str]:
        return {name: self._encode(value, f"inputs.{name}").text for name, value in given.items()}

    # -- inputs of the whole -----------------------------------------------------------------------

    def _inputs(
        self, recorded: Recorded, given: Mapping[str, Any], compiled: CompiledWorkflow | CompiledPipeline | None
    ) -> dict[str, str]:
        """Their texts, by the keys under which the execution knows them."""
        if not given:
            return {}
        if compiled is not None and is_pipeline(compiled):
            check_given(
                compiled.name,
                _not_missing(compiled.parameters, recorded.inputs),
                given,
                open=compiled.open or not compiled.parameters,
            )
            return self._texts(given)
        if compiled is not None:
            return self._texts(changed_inputs(compiled.plan, given, compiled.checks))
        keys = keys_of(recorded, given, self._known_inputs(recorded))
        self._check_types(recorded, given)
        return self._texts({key: given[name] for name, found in keys.items() for key in found})

    def _known_inputs(self, recorded: Recorded) -> Sequence[str]:
        body = recorded.created.body
        if body is None:
            return sorted(drawn_inputs(recorded))
        code = self._code(recorded, None)
        return (parameters_of(code.body_path, body) or ()) if code is not None else ()

    def _check_types(self, recorded: Recorded, given: Mapping[str, Any]) -> None:
        """Of a pipeline, as its recorded body names them; of a component the types are not recorded."""
        body = recorded.created.body
        code = self._code(recorded, None) if body is not None else None
        if body is not None and code is not None:
            types = types_of(code.body_path, body)
            typed = [Parameter(name=name, required=False, accepts=checker(kind)) for name, kind in types.items()]
            check_given(recorded.record.name, typed, given, open=True)

    def _code(self, recorded: Recorded, version: str | None) -> CodeRef | None:
        version = version or recorded.record.code_version
        return self._submissions.code_of(version) if version is not None else None

    def _may_repeat(self, recorded: Recorded) -> bool:
        code = self._code(recorded, None) if recorded.created.body is not None else None
        return code is not None and may_repeat(code.body_path)

    # -- one node alone ----------------------------------------------------------------------------

    def _alone(
        self,
        recorded: Recorded,
        wish: Wish,
        compiled: CompiledWorkflow | CompiledPipeline | None,
        *,
        debugs: bool,
    ) -> Submission:
        assert wish.node is not None
        known_nodes(recorded, [wish.node])
        made = replace(alone(recorded, wish.node, self._blobs, wish.inputs), changed=tuple(wish.inputs))
        if debugs and made.body is not None:
            raise ConflictError(f"{wish.node} is a pipeline, whose body no debugger reaches; take a node in it")
        if made.body is not None and compiled is not None:
            return self._pipeline_alone(recorded, made, wish, compiled)
        objects: dict[str, Any] = {}
        sources: Mapping[str, str] = {}
        parameters: Sequence[str] | None
        if compiled is not None:
            made, parameters, objects, sources = as_it_is_now(made, compiled)
        else:
            parameters = self._parameters(recorded, made)
        made = replace(made, inputs={**made.inputs, **self._changed(made, wish.inputs, parameters)})
        made = _with_inputs(made)
        if debugs:
            made = _unhurried(made)
        if compiled is None:
            return self._submissions.alone(recorded.record, made)
        classes = ValueClasses(objects)
        for text in made.inputs.values():
            classes.take(text)
        return self._submissions.alone_now(recorded.record, made, classes.found, sources)

    def _changed(self, made: Alone, given: Mapping[str, Any], parameters: Sequence[str] | None) -> dict[str, str]:
        known = parameters or [*dict.fromkeys([*made.inputs, *_called_with(made)])]
        fits_any = parameters is None and made.spec is not None and made.spec.entry is not None
        problems = [
            Problem(node=made.node, field=name, message=f"is not an input of it; {did_you_mean(name, known)}")
            for name in given
            if name not in known and not fits_any
        ]
        if problems:
            raise ValidationError(problems)
        return self._texts(given)

    def _parameters(self, recorded: Recorded, made: Alone) -> Sequence[str] | None:
        """What its recorded code takes; None where that cannot be told."""
        spec = made.spec
        if spec is None or spec.entry is None or spec.entry.startswith("builtin:"):
            return ()
        code = self._code(recorded, spec.code)
        if code is None:
            return None
        return parameters_of(code.body_path if made.body is not None else code.bundle_path, spec.entry)

    def _pipeline_alone(
        self, recorded: Recorded, made: Alone, wish: Wish, compiled: CompiledWorkflow | CompiledPipeline
    ) -> Submission:
        prepared = _pipeline_now(compiled, made.body, made.component, made.node)
        check_given(
            prepared.name,
            _not_missing(prepared.parameters, made.inputs),
            wish.inputs,
            open=prepared.open,
        )
        old = Earlier(
            execution=recorded.record.id,
            plan=None,
            body=made.body,
            inputs={**made.inputs, **self._texts(wish.inputs)},
            settings=made.settings,
            kept={},
            changes=Changes(everything=True, alone=made.node, inputs=made.changed),
        )
        record = recorded.record
        return self._submissions.compiled(prepared, {}, origin=record.origin, target=record.target, old=old)


def check_same(recorded: Recorded, compiled: CompiledWorkflow | CompiledPipeline) -> None:
    """ValidationError when the code is of something else than what ran; of one node alone that cannot be told."""
    if recorded.alone is not None:
        return
    name = compiled.name if is_pipeline(compiled) else compiled.plan.name
    now = f"the {'pipeline' if is_pipeline(compiled) else 'workflow'} {name!r}"
    then = f"the {'workflow' if recorded.created.body is None else 'pipeline'} {recorded.record.name!r}"
    if now != then:
        raise ValidationError(f"code is {now}, but {recorded.record.id} ran {then}; give that as it is now")


def _still_alone(recorded: Recorded, wish: Wish) -> Wish:
    """For one node alone out of an execution: that node alone again, as its code now is a part of something larger."""
    node = recorded.alone
    assert node is not None
    asked = {*wish.start, *(failed_of(recorded) if wish.failed else ())}
    if asked - {node} or wish.outputs:
        raise ConflictError(
            f"{recorded.record.id} is {node} alone out of {recorded.record.replay_of}; on the code as it is now it is "
            f"run as a whole: twingraph replay {recorded.record.id} --node {shlex.quote(node)} --code current"
        )
    return Wish(node=node, inputs=wish.inputs)


def _pipeline_of(recorded: Recorded, compiled: CompiledWorkflow | CompiledPipeline) -> CompiledPipeline:
    """The pipeline that was run alone out of a larger execution, as it is now."""
    return _pipeline_now(compiled, recorded.created.body, recorded.record.name, recorded.alone)


def _pipeline_now(
    compiled: CompiledWorkflow | CompiledPipeline, body: str | None, name: str, node: str | None
) -> CompiledPipeline:
    from twingraph.sdk.prepared import prepare

    found = compiled.bodies.get(body or "") if is_pipeline(compiled) else None
    if found is None:
        raise NotFoundError(f"the code now has no pipeline {name!r}, which {node} ran")
    return prepare(found)


def _not_missing(parameters: Sequence[Parameter], before: Container[str]) -> list[Parameter]:
    """The same, but that none has to be given that was given before."""
    return [replace(one, required=False) if one.name in before else one for one in parameters]


def _called_with(made: Alone) -> Sequence[str]:
    node = made.plan.root.nodes[0] if made.plan is not None else None
    return [*node.args, *node.scope_args] if node is not None else ()


def _with_inputs(made: Alone) -> Alone:
    """Every input has its place in the plan, also one that was not given before."""
    if made.plan is None:
        return made
    node = made.plan.root.nodes[0]
    if node.kind is not NodeKind.TASK:
        return made
    args = {name: (Hole((Source(input=name),)),) for name in made.inputs}
    return replace(made, plan=replace(made.plan, root=replace(made.plan.root, nodes=(node._replace(args=args),))))


def _unhurried(made: Alone) -> Alone:
    """Neither cut short nor tried again: somebody looks at it."""
    made = replace(made, settings=replace(made.settings, timeout=None, max_parallel=1))
    return made if made.spec is None else with_spec(made, replace(made.spec, retry=None, timeout=None))
