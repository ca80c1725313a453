"""Any record of the core, for property tests: drawn from its annotations."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from twingraph.core import events as ev
from twingraph.core.plan import Edge, Hole, NodeKind, NodeSpec, Plan, PlanNode, Source, Template
from twingraph.core.policies import Backoff, RetryPolicy
from twingraph.core.records import Changes, ErrorRecord, GivenOutcome, Settings

names = st.text(max_size=6)
maybe_names = st.none() | names
seconds = st.floats(0, 1e9)
maybe_seconds = st.none() | seconds
counts = st.integers(0, 1000)

policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 10),
    backoff=st.sampled_from(Backoff),
    initial_delay=st.floats(0, 1000),
    max_delay=st.floats(0, 1000),
    jitter=st.floats(0, 1),
    exceptions=st.none() | st.lists(names).map(tuple),
)
sources = st.builds(Source, node=maybe_names, output=maybe_names, item=st.booleans(), index=st.none() | counts)
holes = st.builds(Hole, sources=st.lists(sources, max_size=3).map(tuple))
arguments = st.lists(names | holes, max_size=3).map(tuple)
edges = st.builds(Edge, source=names, param=maybe_names, handle=maybe_names, optional=st.booleans())
specs = st.builds(
    NodeSpec,
    component=names,
    retry=st.none() | policies,
    timeout=maybe_seconds,
    limits=st.dictionaries(names, counts, max_size=2),
    cache=st.none() | st.booleans(),
    priority=st.integers(),
    endless=st.booleans(),
    outputs=st.none() | st.lists(names, max_size=2).map(tuple),
)
nodes = st.builds(
    PlanNode,
    id=names,
    kind=st.sampled_from(NodeKind),
    spec=st.none() | counts,
    edges=st.lists(edges, max_size=2).map(tuple),
    args=st.dictionaries(names, arguments, max_size=2),
    template=maybe_names,
    wait=maybe_seconds,
)
templates = st.builds(
    Template, nodes=st.lists(nodes, max_size=3).map(tuple), result=arguments, last_nodes=st.lists(names).map(tuple)
)
plans = st.builds(
    Plan,
    name=names,
    root=templates,
    templates=st.dictionaries(names, templates, max_size=2),
    specs=st.lists(specs, max_size=2).map(tuple),
)
errors = st.builds(
    ErrorRecord,
    code=names,
    error_type=names,
    message=st.text(),
    types=st.lists(names).map(tuple),
    permanent=st.booleans(),
    exit_code=st.none() | st.integers(),
)
_OF_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "settings": st.builds(Settings, max_parallel=st.integers(1, 99), timeout=maybe_seconds),
    "nodes": st.lists(nodes, max_size=3).map(tuple),
    "specs": st.lists(specs, max_size=2).map(tuple),
    "templates": st.dictionaries(names, templates, max_size=2),
    "result": arguments,
    "error": st.none() | errors,
    "output": st.tuples(names, names, counts),
    "answer": st.none() | st.integers() | names,
    "runs": st.lists(st.tuples(names, counts)).map(tuple),
    "outputs": st.lists(st.tuples(names, names, counts)).map(tuple),
    "changes": st.none()
    | st.builds(
        Changes,
        everything=st.booleans(),
        alone=maybe_names,
        anew=st.lists(names).map(tuple),
        given=st.lists(
            st.builds(
                GivenOutcome,
                node=names,
                shape=maybe_names,
                outputs=st.lists(st.tuples(names, names, counts)).map(tuple),
                handle=maybe_names,
            ),
            max_size=2,
        ).map(tuple),
        inputs=st.lists(names).map(tuple),
    ),
}
_OF_RECORDS: dict[tuple[type[ev.Event], str], st.SearchStrategy[Any]] = {
    (ev.OutcomesKept, "nodes"): st.lists(
        st.tuples(names, counts, maybe_names, st.lists(st.tuples(names, names, counts)).map(tuple)), max_size=3
    ).map(tuple),
    (ev.GraphClosed, "outputs"): st.lists(st.tuples(names, arguments), max_size=2).map(tuple),
}
_OF_TYPES: dict[str, st.SearchStrategy[Any]] = {
    "str": names,
    "int": counts,
    "float": seconds,
    "bool": st.booleans(),
    "str | None": maybe_names,
    "int | None": st.none() | counts,
    "float | None": maybe_seconds,
    "tuple[str, ...]": st.lists(names).map(tuple),
}


def events() -> st.SearchStrategy[ev.Event]:
    return st.one_of([_event(record) for record in ev.EVENTS.values()])


def _event(record: type[ev.Event]) -> st.SearchStrategy[ev.Event]:
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for name, annotation in record.__annotations__.items():  # of a named tuple: references by their text
        if (record, name) in _OF_RECORDS:
            fields[name] = _OF_RECORDS[record, name]
            continue
        plain = _OF_TYPES.get(annotation.__forward_arg__)
        fields[name] = _OF_FIELDS[name] if plain is None else plain
    return st.builds(record, **fields)
