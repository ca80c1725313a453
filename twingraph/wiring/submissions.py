"""What a conductor is asked to carry out, made of what was compiled here or of what an earlier execution recorded."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twingraph.core.ids import execution_id
from twingraph.core.inputs import rebind_inputs
from twingraph.core.plan import Plan, PlanNode, Template
from twingraph.core.records import Changes, Settings
from twingraph.dispatch.base import CodeRef
from twingraph.engine import code as code_versions
from twingraph.engine.held import Submission
from twingraph.wiring.codes import CodeBook, with_hashes
from twingraph.wiring.makers import check_platforms
from twingraph.wiring.values import ProcessValues, with_classes

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from twingraph.core.execution import ExecutionRecord
    from twingraph.engine.alone import Alone
    from twingraph.engine.replay import Earlier
    from twingraph.sdk.body.live import LiveWorld
    from twingraph.sdk.prepared import CompiledPipeline
    from twingraph.sdk.workflow_builder import CompiledWorkflow

# What was made, without the code that it runs on, and that.
_Coded = tuple[Submission, tuple[str | None, CodeRef | None]]


class Submissions:
    """Makes them; nothing begins by that. Any thread."""

    def __init__(self, values: ProcessValues, codes: CodeBook, live: Callable[[], LiveWorld]) -> None:
        self._values = values
        self._codes = codes
        self._live = live

    def compiled(
        self,
        compiled: CompiledWorkflow | CompiledPipeline,
        inputs: Mapping[str, Any],
        *,
        origin: str,
        target: str | None,
        old: Earlier | None = None,
    ) -> Submission:
        """Of what was compiled, with the inputs and finished nodes of `old` if there is one.

        Raises what would be in the way.
        """
        made, code = (
            self._pipeline(compiled, inputs, old) if is_pipeline(compiled) else self._workflow(compiled, inputs, old)
        )
        version, reference = code
        return replace(
            made,
            workflow_id=compiled.workflow_id or target or made.workflow_id,
            origin=origin,
            target=target,
            code_version=version,
            code=reference,
            code_body=code_versions.body(reference) if reference else None,
            replay_of=old.execution if old is not None else None,
            kept=old.kept if old is not None else None,
            changes=old.changes if old is not None else None,
            given=old.given if old is not None else (),
        )

    def recorded(self, record: ExecutionRecord, old: Earlier) -> Submission:
        """Of an earlier execution, on the code that it ran on."""
        return Submission(
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
            code=self.code_of(record.code_version) if record.code_version else None,
            replay_of=old.execution,
            kept=old.kept,
            changes=old.changes,
            given=old.given,
            repeated=old.repeated,
        )

    def calls(
        self, compiled: CompiledPipeline, calls: Mapping[str, tuple[Any, Mapping[str, Any]]], *, target: str | None
    ) -> Submission:
        """Calls that its body would make, by node, as a workflow of its own: to be asked about and not to be begun."""
        from twingraph.sdk.body.known import function_of
        from twingraph.sdk.body.targets import spec_of
        from twingraph.sdk.code_table import CodeTable

        table, infos = CodeTable(), []
        for component, _ in calls.values():
            infos.append((table.info(component), function_of(component)))
        texts, objects = self._values.of_calls({**compiled.objects, **table.objects}, calls)
        version, reference, hashes = self._codes.pack(objects, {}, compiled.bodies)
        specs = tuple(spec_of(info, function, None, hashes.get) for info, function in infos)
        nodes = tuple(
            PlanNode(id=node, spec=number, args={name: (text,) for name, text in texts[node].items()})
            for number, node in enumerate(calls)
        )
        return Submission(
            id=_new_id(),
            plan=Plan(name=compiled.name, root=Template(nodes=nodes), specs=specs),
            inputs={},
            settings=Settings(),
            workflow_id=compiled.workflow_id or target or compiled.name,
            origin="plan",
            code_version=version,
            code=reference,
        )

    def code_of(self, version: str) -> CodeRef:
        return self._codes.code_of(version)

    def alone(self, record: ExecutionRecord, made: Alone) -> Submission:
        """Of one node of an earlier execution, on the code that it ran on."""
        version = record.code_version
        return Submission(
            id=_new_id(),
            name=record.name if made.body is None else made.component,
            plan=made.plan,
            body=made.body,
            specs=made.specs,
            inputs=made.inputs,
            settings=made.settings,
            workflow_id=record.workflow_id,
            origin=record.origin,
            target=record.target,
            code_version=version,
            code=self.code_of(version) if version else None,
            replay_of=record.id,
            changes=Changes(everything=True, alone=made.node, inputs=made.changed),
        )

    def alone_now(
        self, record: ExecutionRecord, made: Alone, objects: Mapping[str, Any], sources: Mapping[str, str]
    ) -> Submission:
        """The same on code as it is now."""
        assert made.plan is not None
        check_platforms(made.plan)
        version, reference, hashes = self._codes.pack(objects, sources)
        return replace(
            self.alone(replace(record, code_version=None), made),
            plan=with_hashes(made.plan, hashes),
            code_version=version,
            code=reference,
            code_body=code_versions.body(reference) if reference else None,
        )

    def _workflow(self, compiled: CompiledWorkflow, inputs: Mapping[str, Any], old: Earlier | None) -> _Coded:
        check_platforms(compiled.plan)
        if old is not None:
            texts, objects = rebind_inputs(compiled.plan, old.inputs), with_classes(compiled, old)
        else:
            texts, objects = self._values.of_workflow(compiled, inputs)
        version, reference, hashes = self._codes.pack(objects, compiled.sources)
        made = Submission(
            id=_new_id(),
            plan=with_hashes(compiled.plan, hashes),
            inputs=texts,
            settings=compiled.settings,
            workflow_id=compiled.plan.name,
        )
        return made, (version, reference)

    def _pipeline(self, compiled: CompiledPipeline, inputs: Mapping[str, Any], old: Earlier | None) -> _Coded:
        """Its body is driven by this process, which has the live functions."""
        texts, objects = self._values.of_pipeline(compiled, inputs, old)
        version, reference, hashes = self._codes.pack(objects, {}, compiled.bodies)
        self._live().know(version, compiled.bodies, objects, hashes)
        made = Submission(
            id=_new_id(),
            name=compiled.name,
            body=compiled.entry,
            specs=compiled.specs,
            inputs=texts,
            settings=compiled.settings,
            workflow_id=compiled.name,
        )
        return made, (version, reference)


def is_pipeline(compiled: CompiledWorkflow | CompiledPipeline) -> TypeIs[CompiledPipeline]:
    return hasattr(compiled, "bodies")


def _new_id() -> str:
    return execution_id(time.time_ns() // 1_000_000, int.from_bytes(os.urandom(5)) >> 5)
