"""What only handles have; the twin of each row says what it gives."""

from __future__ import annotations

from typing import Any

from tests.pipelines.case import Case
from tests.pipelines.effects import effect
from twingraph import BaseComponent, as_completed, component, gather, pipeline, sleep, wait_any


@component
def measure(text: str) -> dict[str, Any]:
    effect("measure", text)
    return {"length": len(text), "upper": text.upper(), "chunks": text.split()}


@component
def plus(a: int, b: int = 0) -> int:
    effect("plus", a, b)
    return a + b


@component
def echo(text: str) -> str:
    effect("echo", text)
    return text


@component
def fail(text: str) -> int:
    effect("fail", text)
    raise ValueError(text)


class Scaler(BaseComponent):
    """A component with a configuration."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.by = self.config.get("by", 2)

    def validate_inputs(self, **kwargs: Any) -> None:
        if kwargs.get("x") == 13:
            raise ValueError("unlucky")

    def execute(self, x: int) -> dict[str, int]:
        effect("Scaler", x, self.by)
        return {"scaled": x * self.by}


@pipeline
def outputs_by_name() -> list[Any]:
    m: Any = measure("two words")
    total: Any = plus(m["outputs"]["length"], 1)
    return [total, m.outputs.upper, m["length"], m.length, total["outputs"]["output"]]


@pipeline
def fan_over_an_output() -> list[Any]:
    m: Any = measure("a bb ccc")
    sizes: list[Any] = [measure(chunk) for chunk in m["outputs"]["chunks"]]
    return [plus(size["outputs"]["length"]) for size in sizes]


@pipeline
def parent_hash() -> int:
    first: Any = plus(1)
    second: Any = plus(2, parent_hash=first["hash"])  # type: ignore[call-arg]
    return plus(3, parent_hashes=[first["hash"], second])  # type: ignore[call-arg]


@pipeline
def hashes() -> list[Any]:
    a: Any = plus(1)
    b: Any = plus(1)
    c: Any = plus(2)
    return [a["hash"] == b["hash"], a["hash"] == c["hash"], len(a["hash"]) > 8, a.id, b.id]


@pipeline
def result_of_a_handle() -> list[Any]:
    good: Any = plus(1)
    bad: Any = fail("asked for")
    try:
        bad.result()
    except ValueError as error:
        return [good.result(), good.result(timeout=100), str(error.args[0])]
    return []


@pipeline
def dozes(seconds: float) -> int:
    sleep(seconds)
    return plus(1)


@pipeline
def result_that_is_late() -> list[Any]:
    """It was late, in every replay too, though by then it is there."""
    late: Any = dozes(1)
    try:
        return [late.result(timeout=0.01)]
    except TimeoutError:
        return [plus(5), late.result(timeout=100), late.result()]


@pipeline
def returned_in_a_try() -> Any:
    """The `return` waits, also for what was called before the `try`."""
    early: Any = fail("before")
    try:
        return early
    except ValueError:
        return -1


@pipeline
def named_node() -> list[Any]:
    mine: Any = plus.options(id="mine")(4)
    return [mine.id, mine]


@pipeline
def options_of_a_call() -> int:
    return plus.options(timeout=5, labels={"team": "blue"})(1, 2)


@pipeline
def limited(x: int) -> Any:
    return plus(x)


@pipeline
def options_that_components_gave() -> list[Any]:
    """None of these can wait for its turn as an argument does."""
    three: Any = plus(1, 2)
    return [
        plus.options(priority=three, timeout=three, labels={"team": echo("blue")})(1),
        plus.options(retry_policy={"max_attempts": three, "exceptions": [echo("ValueError")]})(2),
        limited.options(max_parallel=three, error_handler=echo("continue"))(3),
        plus(4).result(timeout=plus(50, 50)),  # type: ignore[attr-defined]
    ]


@pipeline
def an_option_that_does_not_fit() -> str:
    try:
        plus.options(priority=echo("high"))(1)
    except Exception as error:
        return str(error)
    return "taken"


@pipeline
def settings_that_are_no_data() -> str:
    try:
        plus.options(platform="docker", docker_image="i", config={"volumes": object()})(1)
    except Exception as error:
        return str(error).partition(",")[0]
    return "taken"


@pipeline
def base_component() -> list[Any]:
    twice, thrice = Scaler(), Scaler({"by": 3})
    first: Any = twice(x=2)
    return [first["scaled"], thrice(x=first["outputs"]["scaled"])["scaled"]]


@pipeline
def base_component_that_refuses() -> str:
    try:
        Scaler()(x=13)
    except ValueError as error:
        return str(error.args[0])
    return "accepted"


@pipeline
def race_of_two() -> list[Any]:
    first: Any = wait_any([plus(1), plus(1)])
    return [first == 1, plus(first)]


@pipeline
def race_that_fails() -> list[str]:
    both: list[Any] = [fail("lost"), fail("lost")]
    winner: Any = wait_any(both)
    told = []
    for handle in (winner, *both):
        try:
            told.append(f"{handle + 1}")
        except ValueError as error:
            told.append(str(error.args[0]))
    return told


@pipeline
def race_whose_loser_is_forgotten() -> str:
    winner: Any = wait_any([fail("lost"), fail("lost")])
    try:
        return f"{winner + 1}"
    except ValueError:
        return "the other one is still unhandled"


def _unhandled() -> None:
    raise ValueError("lost")


@pipeline
def as_they_end() -> list[int]:
    return sorted(plus(handle, 10) for handle in as_completed([plus(x) for x in range(3)]))


@pipeline
def nothing_that_ends() -> list[Any]:
    return [*as_completed([]), *as_completed()]


@pipeline
def nested_gather() -> list[Any]:
    left, right = gather(gather(plus(1), plus(2)), plus(3))
    return [left, right]


@pipeline
def fails_late() -> int:
    sleep(50)
    return fail("late")


@pipeline
def gather_of_two_that_fail() -> Any:
    """What fails first is raised, and the other is not waited for."""
    return gather(fails_late(), fail("lost"))


@pipeline
def a_failed_reference() -> str:
    bad: Any = fail("upstream")
    try:
        return f"{plus(bad['outputs']['output'])}"
    except Exception as error:
        return type(error).__mro__[-3].__name__


@pipeline
def hashing_a_handle() -> str:
    try:
        {plus(1)}
    except TypeError as error:
        return "says why" if len(str(error)) > 20 else "mute"
    return "hashed"


CASES = (
    Case(outputs_by_name, twin=lambda: [10, "TWO WORDS", 9, 9, 10]),
    Case(fan_over_an_output, twin=lambda: [1, 2, 3]),
    Case(parent_hash, twin=lambda: 3),
    Case(hashes, twin=lambda: [True, False, True, "plus", "plus-2"]),
    Case(result_of_a_handle, twin=lambda: [1, 1, "asked for"]),
    Case(result_that_is_late, twin=lambda: [5, 1, 1]),
    Case(returned_in_a_try, twin=lambda: -1),
    Case(named_node, twin=lambda: ["mine", 4]),
    Case(options_of_a_call, twin=lambda: 3),
    Case(options_that_components_gave, twin=lambda: [1, 2, 3, 4]),
    Case(an_option_that_does_not_fit, twin=lambda: "plus.priority: must be a whole number, not 'high'"),
    Case(settings_that_are_no_data, twin=lambda: "the settings of plus must be plain data"),
    Case(base_component, twin=lambda: [4, 12]),
    Case(base_component_that_refuses),
    Case(race_of_two),
    Case(race_that_fails, twin=lambda: ["lost", "lost", "lost"]),
    Case(race_whose_loser_is_forgotten, twin=_unhandled),
    Case(as_they_end),
    Case(nothing_that_ends),
    Case(nested_gather),
    Case(gather_of_two_that_fail, twin=_unhandled),
    Case(a_failed_reference, twin=lambda: "Exception"),
    Case(hashing_a_handle, twin=lambda: "says why"),
)
