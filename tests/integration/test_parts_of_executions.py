"""Replays of parts: what is kept is shared and not copied, caches neither answer nor learn, what is missing is said."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import pytest

from twingraph import Workflow, component, pipeline, replay, wiring
from twingraph.core.execution import ExecutionView
from twingraph.core.wishes import Wish
from twingraph.engine.shared import Shared
from twingraph.errors import ConflictError, NotFoundError, ValidationError


@component
def large() -> dict[str, Any]:
    return {"small": "s" * 1_000, "big": b"x" * 200_000}


@component
def measure(small: str, big: bytes) -> int:
    return len(small) + len(big)


@component
def double(n: int) -> int:
    return 2 * n


@component
def name(n: int, what: str = "number") -> str:
    return f"{what} {n}"


@component
def draw(seed: int) -> float:
    import random

    return random.random()


@component
def parts() -> list[bytes]:
    return [bytes([one]) * 300_000 for one in range(3)]


@component
def count(values: list[bytes]) -> int:
    return len(values)


def sized() -> Workflow:
    flow = Workflow("sized").add_component("large", large).add_component("measure", measure)
    return flow.connect("large", "measure", output="small", input="small").connect(
        "large", "measure", output="big", input="big"
    )


Again = Callable[..., ExecutionView]


@pytest.fixture
def again(home: Path) -> Again:
    def run(execution: str, **wish: Any) -> ExecutionView:
        runtime = wiring.runtime(str(home))
        handle = runtime.replay(execution, Wish(**wish))
        assert handle.wait(40)
        return view_of(handle.id)

    return run


def run_once(flow: Workflow, **inputs: Any) -> str:
    handle = wiring.runtime().submit(flow.compile(), inputs)
    assert handle.wait(40)
    return handle.id


def view_of(execution: str) -> ExecutionView:
    reader = wiring.open_reader()
    try:
        return reader.view(execution)
    finally:
        reader.close()


def kept_by(home: Path, execution: str) -> list[Shared]:
    """Where the outcomes stand that it has from elsewhere."""
    database = sqlite3.connect(home / "twingraph.db")
    try:
        rows = database.execute(
            "select events.body, events.data from events join executions on executions.number = events.execution "
            "where executions.id = ? and kind = 'outcomes_kept' order by events.seq",
            (execution,),
        ).fetchall()
    finally:
        database.close()
    assert all(data is None for _, data in rows)  # nothing is copied
    bodies = [json.loads(body) for body, _ in rows]
    return [Shared(body["execution"], seq) for body in bodies for _, seq, *_ in body["nodes"]]


def ran(view: ExecutionView) -> list[str]:
    return sorted(node.id for node in view.nodes if node.attempts)


def test_what_is_kept_is_referred_to_and_not_copied(home: Path, again: Again) -> None:
    first = run_once(sized())
    blobs = {blob.hash for blob in wiring.runtime().blobs.list()}
    second = again(first, start=("measure",))
    assert (second.result, ran(second)) == ("201000", ["measure"])
    (place,) = kept_by(home, second.record.id)
    assert place.execution == first
    assert {blob.hash for blob in wiring.runtime().blobs.list()} == blobs
    outputs = {output.name: output.text for output in second.nodes[0].outputs}
    assert outputs["small"] == '"' + "s" * 1_000 + '"'
    third = again(second.record.id, start=("measure",))  # refers to the first as well: no chain of references
    assert kept_by(home, third.record.id) == [place]
    assert (third.result, third.nodes[0].reused_from) == ("201000", first)


def test_a_value_that_is_gone_is_named_where_nothing_can_make_it_again(again: Again) -> None:
    first = run_once(sized())
    blobs = wiring.runtime().blobs
    for blob in [blob for blob in blobs.list() if blob.size >= 200_000]:
        blobs.delete(blob.hash)
    with pytest.raises(
        ConflictError, match=r"measure .* its input 'big' is not there any more .*--from large.* -i big=VALUE"
    ):
        again(first, node="measure")
    assert again(first, node="measure", inputs={"big": b"x"}).result == "1001"
    made = again(first, start=("measure",))
    assert (made.result, ran(made)) == ("201000", ["large", "measure"])


def test_a_value_inside_a_large_one_that_is_gone_is_named_too(again: Again) -> None:
    flow = Workflow("parts").add_component("parts", parts).add_component("count", count).connect("parts", "count")
    first = run_once(flow)
    blobs = wiring.runtime().blobs
    blobs.delete(next(blob.hash for blob in blobs.list() if blob.size == 300_000))
    with pytest.raises(ConflictError, match=r"count cannot be run alone: its input 'values' is not there any more"):
        again(first, node="count")
    assert again(first, node="count", inputs={"values": [b""]}).result == "1"


def test_what_was_never_called_cannot_run_alone(again: Again) -> None:
    flow = Workflow("w").add_component("bad", failing).add_component("double", double).connect("bad", "double")
    first = run_once(flow)
    with pytest.raises(ConflictError, match=r"it was never called, as its inputs did not come from bad \(failed\)"):
        again(first, node="double")
    assert again(first, node="double", inputs={"n": 5}).result == "10"
    assert again(first, outputs={"bad": 4}).result == "8"
    with pytest.raises(ValidationError, match="is given, so that it is not run, and is also to be run again"):
        again(first, outputs={"bad": 4}, start=("bad",))


@component
def failing() -> int:
    raise ValueError("bad")


def cached() -> Workflow:
    flow = Workflow("cached").add_component("draw", draw, cache=True).add_component("name", name)
    return flow.connect("draw", "name", input="n")


def test_a_cache_answers_nothing_that_is_to_run_again(again: Again) -> None:
    first = run_once(cached(), seed=1)
    drawn = again(first, start=("draw",))
    assert ran(drawn) == ["draw", "name"]
    assert drawn.result != view_of(first).result
    kept = again(first, start=("name",))
    assert (kept.result, ran(kept)) == (view_of(first).result, ["name"])


def test_what_was_given_is_never_found_by_a_cache(again: Again) -> None:
    first = run_once(cached(), seed=2)
    given = again(first, outputs={"draw": 7})
    assert (given.result, ran(given)) == ('"number 7"', ["name"])
    assert view_of(run_once(cached(), seed=2)).result == view_of(first).result


def branched() -> Workflow:
    flow = Workflow("branched").add_branch("even", condition="n % 2 == 0")
    flow.add_component("yes", name, what="even").add_component("no", name, what="odd")
    return flow.connect("even", "yes", output="true").connect("even", "no", output="false")


def nested() -> Workflow:
    inner = Workflow("inner").add_component("one", double).add_component("two", double).connect("one", "two")
    flow = Workflow("outer").add_component("first", double).add_workflow("inner", inner).add_component("last", double)
    return flow.connect("first", "inner").connect("inner", "last")


def test_inside_another_workflow(again: Again) -> None:
    first = run_once(nested(), n=1)
    part = again(first, start=("inner/two",))
    assert (part.result, ran(part)) == ("16", ["inner/two", "last"])
    assert again(first, node="inner").result == "8"
    assert again(first, node="inner/one", inputs={"n": 5}).result == "10"
    assert again(first, outputs={"inner/one": 100}).result == "400"


def test_a_branch_goes_the_way_that_is_given(again: Again) -> None:
    first = run_once(branched(), n=4)
    other = again(first, outputs={"even": False})
    assert (ran(other), other.outputs) == (["no"], {"no": '"odd 4"'})
    with pytest.raises(ValidationError, match="true or false, not 3"):
        again(first, outputs={"even": 3})


class Ends(TypedDict):
    low: int
    high: int


@component
def ends(n: int) -> Ends:
    return {"low": n, "high": 10 * n}


@component
def spread(low: int, high: int = 100) -> int:
    return high - low


def between(first: Any) -> Workflow:
    flow = Workflow("between").add_component("ends", first, n=1).add_component("spread", spread)
    return flow.connect("ends", "spread", output="low", input="low").connect(
        "ends", "spread", output="high", input="high"
    )


@component
def found(n: int) -> dict[str, int]:
    return {"low": n, "high": 10 * n}


@pytest.mark.parametrize("first", [ends, found])
def test_outputs_that_are_not_given_stay_as_they_were(again: Again, first: Any) -> None:
    execution = run_once(between(first))
    assert again(execution, outputs={"ends": {"low": 3}}).result == "7"
    assert again(execution, outputs={"ends": {"high": 50}}).result == "49"
    assert again(execution, outputs={"ends": {"high": 50, "low": 0}}).result == "50"
    with pytest.raises(ValidationError, match="gives no 'lo'; did you mean 'low'"):
        again(execution, outputs={"ends": {"lo": 3}})


def test_one_value_is_none_of_several_outputs(again: Again) -> None:
    with pytest.raises(ValidationError, match="gives low, high; give a JSON object"):
        again(run_once(between(ends)), outputs={"ends": 3})


def numbered(*, renamed: bool) -> Workflow:
    flow = Workflow("numbered").add_component("first", double)
    flow.add_component("other", name if renamed else double).connect("first", "other", input="n")
    return flow.add_component("free", double, n=7) if not renamed else flow.add_component("free", name, n=7)


def test_an_input_that_only_the_code_of_now_has(home: Path) -> None:
    first = run_once(numbered(renamed=False), n=1)
    now = replay(first, inputs={"free.what": "figure"}, code=numbered(renamed=True))
    assert now.result() == {"other": 4, "free": "figure 7"}
    assert ran(view_of(now.id)) == ["free"]


def test_from_a_node_on_follows_the_edges_of_now(home: Path) -> None:
    def flow(*, joined: bool) -> Workflow:
        made = Workflow("joined").add_component("a", double, n=1).add_component("b", double)
        return made.connect("a", "b", input="n") if joined else made

    first = run_once(flow(joined=False), n=10)
    now = replay(first, from_node="a", code=flow(joined=True))
    assert (now.result(), ran(view_of(now.id))) == (4, ["a", "b"])


@pipeline
def inner(n: int) -> int:
    return double(double(n))


@pipeline
def outer(n: int) -> int:
    return double(inner(double(n)))


def test_a_pipeline_in_a_pipeline(home: Path) -> None:
    first = outer.submit(n=1)
    assert first.result() == 16
    part = replay(first.id, from_node="inner/double-2")
    assert part.result() == 16
    assert ran(view_of(part.id)) == ["double-2", "inner/double-2"]
    assert replay(first.id, node="inner").result() == 8
    assert replay(first.id, node="inner", inputs={"n": 5}, code=outer).result() == 20
    assert first.replay(outputs={"inner/double": 50}).result() == 200


def test_a_pipeline_alone_stays_alone_on_the_code_of_now(home: Path) -> None:
    first = outer.submit(n=1)
    assert first.result() == 16
    alone = replay(first.id, node="inner")
    assert alone.result() == 8
    again = replay(alone.id, code=outer)
    assert (again.result(), ran(view_of(again.id))) == (8, ["double", "double-2"])
    part = replay(again.id, from_node="double-2", inputs={}, code=outer)
    assert (part.result(), ran(view_of(part.id))) == (8, ["double-2"])
    assert replay(part.id, inputs={"n": 5}, code=outer).result() == 20


def test_wishes_that_do_not_fit_are_refused(again: Again) -> None:
    first = run_once(nested(), n=1)
    with pytest.raises(NotFoundError, match="inner/two"):
        again(first, start=("inner/tow",))
    with pytest.raises(ValidationError, match="gives what the nodes in it give"):
        again(first, outputs={"inner": 3})
    with pytest.raises(ConflictError, match=r"no node of exec-.* failed"):
        again(first, failed=True)
    with pytest.raises(ValidationError, match="first is run alone"):
        again(first, node="first", start=("last",))


def test_an_unknown_input_of_a_pipeline_is_told_beside_the_known_ones(home: Path) -> None:
    first = outer.submit(n=1)
    first.result()
    for node in (None, "inner"):
        with pytest.raises(ValidationError, match="wrong: is not an input of it; known are n"):
            replay(first.id, inputs={"wrong": 1}, code=outer, node=node)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("execution", 3),
        ("from_node", 3),
        ("from_node", None),
        ("from_node", [3]),
        ("failed", "yes"),
        ("node", ["a"]),
        ("inputs", [1]),
        ("inputs", {3: 1}),
        ("outputs", "total=3"),
        ("code", "current"),
        ("code", None),
        ("code", double),
        ("code", Workflow),
    ],
)
def test_an_argument_of_a_wrong_kind_is_named(argument: str, value: Any) -> None:
    given: dict[str, Any] = {"execution": "exec-0jz3m9q2t7k4w1vh", argument: value}
    with pytest.raises(ValidationError if argument == "code" else TypeError, match=f"^{argument} is "):
        replay(**given)


def test_the_code_must_be_of_what_ran(home: Path) -> None:
    first = outer.submit(n=1)
    first.result()
    for other, name in ((inner, "the pipeline 'inner'"), (sized(), "the workflow 'sized'")):
        with pytest.raises(ValidationError, match=f"code is {name}, but {first.id} ran the pipeline 'outer'"):
            replay(first, code=other)
    assert replay(first, from_node=["double-2"], code=outer).result() == 16
