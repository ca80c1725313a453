"""Equal work has equal keys, and nothing else has: pairs of works that differ in what counts, or in layout alone."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.conducting import TASK
from tests.unit.sdk.slicing.project import Project
from twingraph.core import events as ev
from twingraph.core.codec import encode
from twingraph.core.plan import PlanNode
from twingraph.core.records import Settings
from twingraph.engine.identity import cache_key_of, hash_of
from twingraph.engine.kernel import State, apply
from twingraph.engine.values import Values
from twingraph.store.blobs.memory import MemoryBlobs


class Work(NamedTuple):
    """Whatever counts."""

    rate: object
    helper: str
    body: str
    arguments: dict[str, Any]
    image: str | None
    version: str | None
    environment: dict[str, str]


class Layout(NamedTuple):
    """Whatever does not."""

    comment: bool
    docstring: bool
    blank: int
    quotes: str
    brackets: bool


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from((0.5, "a", "b")),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=4,
)
works = st.builds(
    Work,
    rate=st.sampled_from((1, 2, 1.0, True, "1")),
    helper=st.sampled_from(("value + RATE", "value - RATE")),
    body=st.sampled_from(("helper(rows)", "[helper(rows)]")),
    arguments=st.fixed_dictionaries({"rows": values}, optional={"config": values}),
    image=st.sampled_from((None, "python@sha256:1", "python@sha256:2")),
    version=st.sampled_from((None, "1", "2")),
    environment=st.dictionaries(st.sampled_from("AB"), st.sampled_from("12"), max_size=2),
)
layouts = st.builds(
    Layout,
    comment=st.booleans(),
    docstring=st.booleans(),
    blank=st.integers(0, 3),
    quotes=st.sampled_from("'\""),
    brackets=st.booleans(),
)


def written(work: Work, layout: Layout) -> str:
    gap = "\n" * layout.blank
    rate = repr(work.rate).replace("'", layout.quotes)
    body = f"(\n        {work.body}\n    )" if layout.brackets else work.body
    words = '    """Says it."""\n' if layout.docstring else ""
    comment = "# in other words\n" if layout.comment else ""
    return (
        f"{comment}RATE = {rate}\n{gap}def helper(value):\n{words}    return {work.helper}\n{gap}"
        f"{comment}def run(rows, config=None):\n{words}{gap}    return {body}\n"
    )


def identity(work: Work, layout: Layout) -> tuple[str | None, str | None]:
    with tempfile.TemporaryDirectory() as folder:
        code = _sliced(Path(folder), written(work, layout))
    spec = replace(
        TASK,
        cache=True,
        code_hash=code,
        docker_image=work.image,
        version=work.version,
        environment=work.environment,
    )
    texts = {name: (encode(value).text,) for name, value in work.arguments.items()}
    state = State("exec-a")
    apply(state, ev.Created(Settings()), 0.0, 1)
    apply(state, ev.GraphExtended((PlanNode(id="a", spec=0, args=texts),), (spec,)), 0.0, 2)
    read = Values(state, lambda _: None, MemoryBlobs())
    return cache_key_of(state, read, state.nodes["a"]), hash_of(state, read, state.nodes["a"])


def _sliced(folder: Path, text: str) -> str:
    import sys

    project, path = Project(folder), list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        return project.slice(text, name="equal_work_sample").code_hash
    finally:
        sys.path[:] = path
        sys.modules.pop("equal_work_sample", None)


def told(work: Work) -> str:
    """Equal for works that are the same: `1`, `1.0` and `True` are three constants."""
    return json.dumps([repr(work.rate), *(json.dumps(part, sort_keys=True) for part in work[1:])])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(works, works, layouts, layouts)
def test_keys_are_equal_for_equal_work_alone(one: Work, other: Work, left: Layout, right: Layout) -> None:
    assert identity(one, left) == identity(one, right)
    alike = told(one) == told(other)
    assert (identity(one, left)[0] == identity(other, right)[0]) == alike
    assert (identity(one, left)[1] == identity(other, right)[1]) == alike


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(works, st.data(), layouts)
def test_any_single_change_gives_another_key(work: Work, data: st.DataObject, layout: Layout) -> None:
    field = data.draw(st.sampled_from(Work._fields))
    other = work._replace(**{field: getattr(data.draw(works), field)})
    assert (identity(work, layout) == identity(other, layout)) == (told(work) == told(other))
