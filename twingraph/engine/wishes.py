"""What the wish for a replay means for the execution that is replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twingraph.core.codec import Encoded
from twingraph.core.errors import ConflictError, NotFoundError, Problem, ValidationError
from twingraph.core.nearest import did_you_mean, nearest
from twingraph.core.plan import NodeKind, Plan
from twingraph.core.records import Changes, GivenOutcome
from twingraph.core.statuses import NodeStatus
from twingraph.core.wishes import Wish
from twingraph.engine.anew import also_now, inputs_taken, takers_of
from twingraph.engine.kernel import Node
from twingraph.engine.recorded import Recorded
from twingraph.executors.runner import take_apart

Encode = Callable[[Any, str], Encoded]

# What gives nothing that could be given in its place.
_NOT_GIVEN = {
    NodeKind.INPUT: "it is an input; change it with -i",
    NodeKind.MAP: "a map gives what its items give; change one of them",
    NodeKind.SCOPE: "it gives what the nodes in it give; change one of them",
    NodeKind.SLEEP: "it gives nothing",
    NodeKind.SIDE_EFFECT: "the body of the pipeline carries it out whenever it is run",
    NodeKind.HANDLER: "nothing takes what an error handler gives",
}


_BOTH = "is given, so that it is not run, and is also to be run again; leave one of the two out"


def changes_for(
    recorded: Recorded, wish: Wish, inputs: Iterable[str], encode: Encode, plan: Plan | None = None
) -> tuple[Changes, list[str]]:
    """What is done otherwise, with the texts of what is given; `inputs` are those that get other values, by their keys.

    `plan` is that of a drawn workflow as it is now. Raises what is wrong with the wish.
    """
    changed = list(inputs)
    if not (wish.start or wish.failed or changed or wish.outputs):
        return Changes(everything=True), []
    known_nodes(recorded, [*wish.start, *wish.outputs])
    anew = [*wish.start, *(failed_of(recorded) if wish.failed else ())]
    if recorded.created.body is None:
        anew += takers_of(recorded.state, changed)
    given: list[GivenOutcome] = []
    texts: list[str] = []
    problems: list[Problem] = []
    for name, value in wish.outputs.items():
        if name in wish.start:
            problems.append(Problem(node=name, field="output", message=_BOTH))
            continue
        made = _given(recorded, recorded.state.nodes[name], value, encode)
        if isinstance(made, str):
            problems.append(Problem(node=name, field="output", message=made))
        else:
            given.append(made[0])
            texts += made[1]
    if problems:
        raise ValidationError(problems)
    if plan is not None:
        anew += also_now(recorded.state, plan, [*anew, *wish.outputs], changed)
    return Changes(anew=tuple(dict.fromkeys(anew)), given=tuple(given), inputs=tuple(changed)), texts


def known_nodes(recorded: Recorded, names: Iterable[str]) -> None:
    """NotFoundError with near ones for a name that no node of the execution has."""
    nodes = recorded.state.nodes
    for name in names:
        if name not in nodes:
            of_component = [node.id for node in nodes.values() if _component(recorded, node) == name]
            near = of_component[:5] or nearest(name, nodes)
            whole = f": it is {recorded.alone} alone out of {recorded.record.replay_of}" if recorded.alone else ""
            raise NotFoundError(f"{recorded.state.execution} has no node {name!r}{whole}", near=near)


def _component(recorded: Recorded, node: Node) -> str | None:
    return recorded.state.specs[node.spec].component if node.spec is not None else None


def failed_of(recorded: Recorded) -> list[str]:
    """The nodes that failed by themselves."""
    found = [
        node.id
        for node in recorded.state.nodes.values()
        if node.status is NodeStatus.FAILED and not node.children and node.kind is not NodeKind.HANDLER
    ]
    if not found:
        raise ConflictError(f"no node of {recorded.state.execution} failed")
    return found


def keys_of(recorded: Recorded, given: Iterable[str], known: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The inputs that each name means, as the execution knows them; ValidationError for one that means none."""
    keys = [*dict.fromkeys([*known, *recorded.created.inputs])]
    found: dict[str, tuple[str, ...]] = {}
    problems: list[Problem] = []
    for name in given:
        fits = (name,) if name in keys else tuple(key for key in keys if key.rpartition(".")[2] == name)
        if not fits:
            message = f"is not an input of {recorded.record.name!r}; {did_you_mean(name, keys)}"
            problems.append(Problem(field=name, message=message))
        found[name] = fits
    if problems:
        raise ValidationError(problems)
    return found


def drawn_inputs(recorded: Recorded) -> set[str]:
    """What a drawn workflow takes, whether it was given or not."""
    return inputs_taken(recorded.state)


def _given(recorded: Recorded, node: Node, value: Any, encode: Encode) -> tuple[GivenOutcome, list[str]] | str:
    """The outcome that this value amounts to; or why it cannot be one."""
    refused = _NOT_GIVEN.get(node.kind)
    if refused is not None:
        return f"cannot be changed: {refused}"
    if node.kind is NodeKind.BRANCH:
        if not isinstance(value, bool):
            return f"a branch goes one way or the other: true or false, not {value!r:.80}"
        return GivenOutcome(node=node.id, shape=None, handle="true" if value else "false"), []
    shape, parts = take_apart(value)
    known = _known_outputs(recorded, node, shape)
    if known is None:
        return _outcome(node, shape, [(name, encode(part, name)) for name, part in parts])
    names, declared = known
    if shape == declared and [name for name, _ in parts] == names:
        return _outcome(node, shape, [(name, encode(part, name)) for name, part in parts])
    if names == ["output"] and declared == "plain":  # it is one value, whatever it is made of
        return _outcome(node, "plain", [("output", encode(value, "output"))])
    if not isinstance(value, dict):
        return f"gives {', '.join(names)}; give a JSON object with any of these, not {value!r:.80}"
    unknown = [str(name) for name in value if name not in names]
    if unknown:
        return f"gives no {unknown[0]!r}; {did_you_mean(unknown[0], names)}"
    return _merged(recorded, node, declared, names, value, encode)


def _known_outputs(recorded: Recorded, node: Node, shape: str) -> tuple[list[str], str] | None:
    """The names of what the node gives, and how they belong together; None when any value will do."""
    if node.shape is not None and ":" in node.shape:
        return [name for name, _, _ in node.outputs], node.shape
    if node.shape == "plain":
        return ["output"], "plain"
    declared = recorded.state.specs[node.spec].outputs if node.spec is not None else None
    if node.shape == "dict" and (declared is not None or shape == "dict"):  # else it may give anything, and something
        return [name for name, _, _ in node.outputs], "dict"  # else than a dict is given in place of all of it
    if declared is None or node.shape is not None:
        return None
    return list(declared), "plain" if declared == ("output",) else "dict"


def _merged(
    recorded: Recorded, node: Node, shape: str, names: Sequence[str], value: Mapping[str, Any], encode: Encode
) -> tuple[GivenOutcome, list[str]] | str:
    """Some of the outputs by name; the others stay as they were."""
    before: dict[str, Encoded] = {}
    if node.status is NodeStatus.COMPLETED and node.seq is not None:
        texts = recorded.values.lines_of(node)
        before = {
            name: Encoded(text, digest, size) for (name, digest, size), text in zip(node.outputs, texts, strict=True)
        }
    missing = [name for name in names if name not in value and name not in before]
    if missing:
        return f"also gives {', '.join(missing)}, which nobody knows, as it has not completed; give all of its outputs"
    return _outcome(
        node, shape, [(name, encode(value[name], name) if name in value else before[name]) for name in names]
    )


def _outcome(node: Node, shape: str, parts: Sequence[tuple[str, Encoded]]) -> tuple[GivenOutcome, list[str]]:
    metas = tuple((name, made.hash, made.size) for name, made in parts)
    return GivenOutcome(node=node.id, shape=shape, outputs=metas), [made.text for _, made in parts]
