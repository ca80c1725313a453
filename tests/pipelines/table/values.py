"""What passes between nodes and bodies: shapes, names, sizes, and values that are changed on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from tests.pipelines.case import Case
from tests.pipelines.effects import effect
from twingraph import component, pipeline


class Split(NamedTuple):
    train: list[int]
    test: list[int]


@dataclass
class Point:
    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list)


@component
def split(n: int) -> Split:
    effect("split", n)
    return Split(train=list(range(n)), test=list(range(n, n + 2)))


@component
def point(x: int) -> Point:
    effect("point", x)
    return Point(x, x + 1, ["new"])


@component
def move(p: Point, by: int = 1) -> Point:
    effect("move", p.x, by)
    return Point(p.x + by, p.y + by, [*p.tags, "moved"])


@component
def rows() -> list[dict[str, Any]]:
    effect("rows")
    return [{"id": 1, "ok": True}, {"id": 2, "ok": False}]


@component
def count(items: list[Any]) -> int:
    effect("count", len(items))
    return len(items)


@component
def echo(value: Any) -> Any:
    effect("echo")
    return value


@component
def read_all(value: Any) -> str:
    effect("read_all")
    return repr(value)


@component
def large(n: int) -> str:
    effect("large", n)
    return "äx" * n


@component
def nothing() -> None:
    effect("nothing")


@component
def größe(ßtext: str) -> int:
    effect("größe", ßtext)
    return len(ßtext)


@pipeline
def named_tuple() -> list[Any]:
    result = split(3)
    return [result.train, result.test, count(result.train), result[1], len(result)]


@pipeline
def named_tuple_unpacked() -> int:
    train, test = split(4)
    return count(train) + count(test)


@pipeline
def data_class() -> list[Any]:
    p = move(point(2))
    return [p.x, p.y, p.tags]


@pipeline
def data_class_returned() -> Point:
    return move(point(1), by=4)


@pipeline
def mutated_list() -> list[int]:
    """What was given out is the body's own; changed, the changed value is handed on."""
    found = rows()
    before = count(found)
    found.append({"id": 3})
    return [before, count(found), len(found)]


@pipeline
def mutated_inside() -> Any:
    found = rows()
    for row in found:
        row["seen"] = row["id"] * 10
    return echo(found)


@pipeline
def mutated_alias() -> list[Any]:
    found = echo([1])
    alias = found
    alias += [2]
    return [count(found), found is alias]


@pipeline
def a_result_put_into_another() -> list[Any]:
    table = echo({"rows": [1], "more": {}})
    table["count"] = count([1, 2])
    table["more"]["first"] = echo([3])
    return [echo(table), table, count(table["rows"])]


@pipeline
def mutated_argument() -> list[Any]:
    """Arguments are taken when the call is made."""
    mine = [1]
    first = echo(mine)
    mine.append(2)
    second = echo(mine)
    return [first, second, mine]


@pipeline
def none_result() -> list[Any]:
    value = nothing()
    return [value is None, value == None, echo(value), value]  # noqa: E711 - people write it


@pipeline
def nested_in_containers() -> Any:
    a, b = count([1]), count([1, 2])
    return read_all({"list": [a, [b]], "tuple": (a, b), "dict": {"deep": {"b": b}}})


@pipeline
def nested_in_a_data_class() -> Any:
    return read_all(Point(count([1, 2, 3]), 5, [read_all(1)]))


@pipeline
def returned_structure() -> dict[str, Any]:
    a = count([1])
    return {"a": a, "all": [count([1, 2]), (a, "text")], "none": nothing(), "plain": 7}


@pipeline
def returned_tuple() -> tuple[Any, ...]:
    return count([1]), "x", [count([])]


@pipeline
def unicode_names() -> dict[str, int]:
    länge = größe("straße 🚀")
    return {"länge": länge, "日本": größe("日本")}


@pipeline
def large_values() -> list[Any]:
    text = large(150_000)
    return [len(text), count([text[:2], text[-1]]), echo(text) == text]


@pipeline
def many_kinds() -> Any:
    when = datetime(2026, 2, 3, 4, 5)  # noqa: DTZ001 - people have those too
    values = [1.5, -0.0, 10**30, "", b"\x00\xff", True, None, Decimal("1.10"), when, timedelta(1), {1, 2}, (1,), 1 + 2j]
    return read_all(echo(values))


@pipeline
def keys_of_any_kind() -> Any:
    return echo({1: "int", (1, 2): "tuple", None: "none", "x": {"y": float("inf")}})


@pipeline
def input_kinds(p: Any, names: list[str], when: Any = None) -> list[Any]:
    return [move(p).x, count(names), when is None]


@pipeline
def shared_value() -> bool:
    found = rows()
    a, b = echo(found), echo(found)
    return a == b and a is not b


CASES = (
    Case(named_tuple),
    Case(named_tuple_unpacked),
    Case(data_class),
    Case(data_class_returned),
    Case(mutated_list),
    Case(mutated_inside),
    Case(mutated_alias),
    Case(a_result_put_into_another),
    Case(mutated_argument, twin=lambda: [[1], [1, 2], [1, 2]]),
    Case(none_result),
    Case(nested_in_containers),
    Case(nested_in_a_data_class),
    Case(returned_structure),
    Case(returned_tuple),
    Case(unicode_names),
    Case(large_values),
    Case(many_kinds),
    Case(keys_of_any_kind),
    Case(input_kinds, {"p": Point(1), "names": ["a"]}),
    Case(shared_value, twin=lambda: True),
)
