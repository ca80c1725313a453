"""A workflow that was changed between a failure and `resume --code current`: what still fits is kept, nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from twingraph import Workflow, component, wiring
from twingraph.engine.handle import Handle
from twingraph.errors import ValidationError


@component
def numbers() -> list[int]:
    return [1, 2, 3]


@component
def square(n: int) -> int:
    return n * n


@component
def squares(ns: list[int]) -> list[int]:
    return [100 * n for n in ns]


@component
def fail(values: list[int]) -> int:
    raise ValueError(values)


@component
def total(values: list[int]) -> int:
    return sum(values)


@component
def more(values: list[int], extra: int) -> int:
    return sum(values) + extra


def flow(end: object, *, mapped: bool) -> Workflow:
    wf = Workflow("flow").add_component("numbers", numbers).add_component("end", end)
    if mapped:
        wf.add_map("middle", square, over="n")
    else:
        wf.add_component("middle", squares)
    return wf.connect("numbers", "middle").connect("middle", "end", input="values")


@pytest.mark.parametrize(("mapped", "after"), [(True, 600), (False, 14)])
def test_a_node_of_another_kind_runs_anew(home: Path, mapped: bool, after: int) -> None:
    runtime = wiring.runtime(str(home))
    failed = runtime.submit(flow(fail, mapped=mapped).compile(), {})
    assert failed.wait(20)
    again = runtime.resume(failed.id, code="current", compiled=flow(total, mapped=not mapped).compile())
    assert again.wait(20)
    view = wiring.open_reader(str(home)).view(again.id)
    assert (view.record.status, view.result) == ("completed", str(after))
    assert [node.id for node in view.nodes if node.cached] == ["numbers"]


def test_an_input_that_is_new_is_asked_for(home: Path) -> None:
    runtime = wiring.runtime(str(home))
    failed = runtime.submit(flow(fail, mapped=True).compile(), {})
    assert failed.wait(20)
    with pytest.raises(ValidationError, match=r"end\.extra: is missing"):
        runtime.resume(failed.id, code="current", compiled=flow(more, mapped=True).compile())


@component
def large() -> bytes:
    return b"x" * 200_000


@component
def measure(data: bytes) -> int:
    raise ValueError(len(data))


@component
def measured(data: bytes) -> int:
    return len(data)


def sized(end: object) -> Workflow:
    return Workflow("sized").add_component("large", large).add_component("end", end).connect("large", "end")


def test_an_outcome_whose_blob_is_gone_is_made_again(home: Path) -> None:
    runtime = wiring.runtime(str(home))
    failed = runtime.submit(sized(measure).compile(), {})
    assert failed.wait(20)
    for blob in [blob for blob in runtime.blobs.list() if blob.size >= 200_000]:
        runtime.blobs.delete(blob.hash)
    again = runtime.resume(failed.id, code="current", compiled=sized(measured).compile())
    assert again.wait(20)
    assert wiring.open_reader(str(home)).view(again.id).result == "200000"


def test_what_needs_a_damaged_blob_fails_and_a_resume_makes_it_again(home: Path) -> None:
    runtime = wiring.runtime(str(home))
    failed = runtime.submit(sized(measure).compile(), {})
    assert failed.wait(20)
    for blob in [blob for blob in runtime.blobs.list() if blob.size >= 200_000]:
        (home / "blobs" / blob.hash[:2] / blob.hash[2:]).write_bytes(b"rot")
    again = runtime.resume(failed.id, code="current", compiled=sized(measured).compile())
    assert isinstance(again, Handle)
    assert again.wait(20)
    assert again.error is not None
    assert "is damaged" in again.error.message
    last = runtime.resume(again.id, code="current", compiled=sized(measured).compile())
    assert last.wait(20)
    assert wiring.open_reader(str(home)).view(last.id).result == "200000"
