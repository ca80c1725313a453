"""What an execution is started with, bound to the inputs of its plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twingraph.core.errors import Problem, ValidationError
from twingraph.core.nearest import did_you_mean
from twingraph.core.plan import Plan
from twingraph.core.schemas import schema_problem
from twingraph.core.signatures import Parameter


def bind_inputs(
    plan: Plan,
    given: Mapping[str, Any],
    encode: Callable[[Any], str],
    checks: Mapping[str, Callable[[Any], str | None]] | None = None,
) -> dict[str, str]:
    """JSON texts by the keys of `plan.inputs`. `node.param` goes to one place, a bare name to all of that name.

    An optional input that nobody gave is left out, so that the parameter's own default stands.
    """
    chosen, problems = _chosen(plan, given)
    texts: dict[str, str] = {}
    for key, entry in plan.inputs.items():
        if key in chosen:
            problems += _misfit(entry, chosen[key], (checks or {}).get(key))
            texts[key] = encode(chosen[key])
        elif "default" in entry:
            texts[key] = entry["default"]
        elif entry["required"]:
            problems.append(_missing(entry))
    if problems:
        raise ValidationError(problems)
    return texts


def changed_inputs(
    plan: Plan, given: Mapping[str, Any], checks: Mapping[str, Callable[[Any], str | None]]
) -> dict[str, Any]:
    """Values for some of the inputs, by the keys of `plan.inputs`; ValidationError for all that is wrong with them."""
    chosen, problems = _chosen(plan, given)
    for key, value in chosen.items():
        problems += _misfit(plan.inputs[key], value, checks.get(key))
    if problems:
        raise ValidationError(problems)
    return chosen


def _chosen(plan: Plan, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """What goes to which input: `node.param` to one place, a bare name to all of that name."""
    places: dict[str, list[str]] = {}
    for key, entry in plan.inputs.items():
        for name in dict.fromkeys((entry["name"], key)):
            places.setdefault(name, []).append(key)
    chosen: dict[str, Any] = {}
    problems: list[Problem] = []
    exact = {target: key for key, entry in plan.inputs.items() for target in entry["targets"]}
    for name, value in given.items():
        if name in places:
            for key in places[name]:
                if key == name or exact_of(plan, key) not in given:
                    chosen[key] = value
        elif name in exact:
            chosen[exact[name]] = value
        else:
            message = f"is not an input of {plan.name!r}; {did_you_mean(name, [*places, *exact])}"
            problems.append(Problem(field=name, message=message))
    return chosen, problems


def _misfit(entry: Mapping[str, Any], value: Any, check: Callable[[Any], str | None] | None) -> list[Problem]:
    trouble = schema_problem(entry.get("schema"), value)
    expected = check(value) if check is not None else None
    if expected is not None:
        trouble = f"must be {expected}, not {value!r:.80}"
    if trouble is None:
        return []
    return [Problem(node=entry["targets"][0].partition(".")[0], field=entry["name"], message=trouble)]


def rebind_inputs(plan: Plan, earlier: Mapping[str, str]) -> dict[str, str]:
    """The inputs of an earlier execution for a plan that may have changed since, as JSON texts."""
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    for key, entry in plan.inputs.items():
        text = earlier.get(key, earlier.get(entry["name"], entry.get("default")))
        if text is not None:
            texts[key] = text
        elif entry["required"]:
            problems.append(_missing(entry))
    if problems:
        raise ValidationError(problems)
    return texts


def _missing(entry: Mapping[str, Any]) -> Problem:
    node, _, parameter = entry["targets"][0].partition(".")
    name = entry["name"]
    return Problem(node=node, field=parameter or name, message=f"is missing; give the input {name!r}")


def exact_of(plan: Plan, key: str) -> str:
    """The one place that only this input reaches, as `node.param`."""
    target: str = plan.inputs[key]["targets"][0]
    return target


def check_given(name: str, parameters: Sequence[Parameter], given: Mapping[str, Any], *, open: bool) -> None:  # noqa: A002
    """ValidationError with all that is wrong with the inputs of a function: unknown, missing, of another type."""
    known = {one.name: one for one in parameters}
    problems = [
        Problem(node=name, field=key, message=f"is not an input of it; {did_you_mean(key, known)}")
        for key in given
        if key not in known and not open
    ]
    for key, one in known.items():
        if key not in given:
            if one.required:
                problems.append(Problem(node=name, field=key, message="is missing"))
            continue
        expected = one.accepts(given[key]) if one.accepts is not None else None
        if expected is not None:
            problems.append(Problem(node=name, field=key, message=f"must be {expected}, not {given[key]!r:.80}"))
    if problems:
        raise ValidationError(problems)
