"""Declaring a pipeline checks everything and runs nothing; calling one binds as Python does."""

from __future__ import annotations

import functools
import inspect
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from twingraph import registry as public
from twingraph.core.errors import NotFoundError, ValidationError
from twingraph.sdk import inprocess
from twingraph.sdk.base_component import BaseComponent
from twingraph.sdk.body.active import active
from twingraph.sdk.component import component
from twingraph.sdk.pipeline import Pipeline, pipeline
from twingraph.sdk.prepared import prepare
from twingraph.sdk.registry import Registry, register_component
from twingraph.sdk.standing import target_of
from twingraph.sdk.workflow_builder import Workflow

mine = Registry()


@component(registry=mine)
def double(n: int) -> int:
    return 2 * n


@component(registry=mine)
def tell(message: str, node_id: str) -> None: ...


class Threshold(BaseComponent):
    def execute(self, data: list[int]) -> list[int]:
        return [n for n in data if n > self.config.get("least", 0)]


@pipeline(registry=mine)
def plain(n: int, more: float = 0.5) -> int:
    """Doubles."""
    return double(n)


@pipeline(
    registry=mine,
    name="every_night",
    schedule="0 */6 * * *",
    max_parallel=3,
    error_handler="custom",
    error_config={"handler": "tell", "continue_on_error": True},
    timeout=60,
    graph_config={"backend": "gremlin"},
    notifications={"on_failure": ["https://example.org"]},
    description="sums up the day",
    tags=["nightly"],
)
async def full(day: str, **further: Any) -> str:
    return day


class Recorder:
    """A caller that notes what was called."""

    in_loop = False
    in_side_effect = False

    def __init__(self) -> None:
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    def call(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        self.calls.append((target, args, kwargs))
        return "a handle"


@pytest.fixture
def caller(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(active, "caller", recorder)
    return recorder


def problems(declare: Callable[[], object]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        declare()
    return [str(problem) for problem in caught.value.problems]


# -- what is declared ----------------------------------------------------------------------------------


def test_it_keeps_what_the_function_is() -> None:
    assert (plain.name, plain.__name__, plain.__doc__) == ("plain", "plain", "Doubles.")
    assert [(one.name, one.required) for one in plain.parameters] == [("n", True), ("more", False)]
    assert inspect.signature(plain) == inspect.signature(plain.fn)
    assert (plain.is_async, full.is_async) == (False, True)
    assert "pipeline plain" in repr(plain)


def test_its_defaults_are_those_of_the_contract() -> None:
    bounds = plain.settings
    assert (bounds.max_parallel, bounds.timeout, bounds.error_handler) == (10, 3600.0, "fail")
    assert (plain.schedule, dict(plain.graph_config), dict(plain.notifications)) == (None, {}, {})


def test_everything_that_it_was_told_is_there() -> None:
    bounds = full.settings
    assert full.name == "every_night"
    assert (bounds.max_parallel, bounds.timeout, bounds.error_handler) == (3, 60.0, "custom")
    assert bounds.continue_on_error
    assert full.schedule == "0 */6 * * *"
    assert full.graph_config == {"backend": "gremlin"}
    assert full.notifications == {"on_failure": ["https://example.org"]}


def test_without_a_limit_is_said_by_none() -> None:
    assert pipeline(registry=Registry(), timeout=None)(plain.fn).settings.timeout is None


def test_the_schema_of_its_inputs() -> None:
    schema = plain.input_schema()
    assert schema["properties"]["n"]["type"] == "integer"
    assert schema["required"] == ["n"]
    assert plain.output_schema() == {"type": "integer"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"shedule": "x"}, "shedule: is not a setting of a pipeline; did you mean 'schedule'?"),
        ({"max_parallel": 0}, "max_parallel: must be a whole number from 1, not 0"),
        ({"max_parallel": True}, "max_parallel: must be a whole number from 1"),
        ({"timeout": -1}, "timeout: must be a number of seconds above 0"),
        ({"error_handler": "contnue"}, "error_handler: 'contnue' is not known; did you mean 'continue'?"),
        ({"error_handler": "custom"}, "error_config.handler: must name a registered component"),
        ({"error_config": {"handlr": "x"}}, "error_config.handlr: is not known; did you mean 'handler'?"),
        ({"error_config": "x"}, "error_config: must be a mapping"),
        ({"notifications": {"on_sucess": []}}, "notifications.on_sucess: is not known; did you mean 'on_success' or"),
        (
            {"error_config": {"handler": "x"}},
            "handler: is called where error_handler is 'custom' alone, and here it is",
        ),
        ({"error_config": {"handler": double}}, "error_config.handler: must name a registered component: write 'doub"),
        ({"error_config": {"continue_on_error": 1}}, "continue_on_error: must be true or false, not 1"),
        ({"error_config": {"handler": 3}}, "error_config.handler: must name a registered component, not 3"),
        ({"notifications": {"on_failure": "https://x"}}, "on_failure: must be a list of URLs, as in ['https://example"),
        ({"notifications": {"on_failure": ["https://x", "x"]}}, "on_failure[1]: must be a URL, as in ['https://exam"),
        ({"notifications": {"on_start": [3]}}, "notifications.on_start[0]: must be a URL"),
        ({"notifications": {"late_after": -1}}, "late_after: must be a number of seconds above 0, not -1"),
        ({"notifications": {"late_after": True}}, "late_after: must be a number of seconds above 0, not True"),
        ({"graph_config": [1]}, "graph_config: must be a mapping"),
        ({"name": " "}, "name: must be a text that is not empty"),
        ({"tags": "nightly"}, "tags: must be a list of texts"),
        ({"description": 3}, "description: must be a text"),
        ({"schedule": 3}, "schedule: must be a cron expression"),
        ({"schedule": "* * * *"}, "schedule: '* * * *' has 4 fields; a cron expression has 5"),
        ({"schedule": "0 0 * * * *"}, "has 6 fields"),
        ({"schedule": "nightly"}, "schedule: 'nightly' has 1 field; a cron expression has 5"),
        ({"schedule": "@daily"}, "schedule: '@daily' must be written with its 5 fields, as '0 0 * * *'"),
        ({"schedule": "61 * * * *"}, "schedule: '61 * * * *' is not a cron expression"),
        ({"schedule": "0 0 31 2 *"}, "schedule: '0 0 31 2 *'"),
    ],
)
def test_a_wrong_setting_is_told(settings: dict[str, Any], said: str) -> None:
    (told,) = problems(lambda: pipeline(registry=Registry(), **settings)(plain.fn))
    assert said in told


def test_all_of_it_is_told_at_once() -> None:
    def broken(*args: int, outputs: int) -> None: ...

    told = problems(lambda: pipeline(registry=Registry(), shedule="x", timeout=0, error_handler="x")(broken))
    assert len(told) == 4


@pytest.mark.parametrize("expression", ["* * * * *", "*/5 9-17 * * mon-fri", "0 0 1 jan *", "30 2 L * *"])
def test_cron_expressions(expression: str) -> None:
    assert pipeline(registry=Registry(), schedule=expression)(plain.fn).schedule == expression


def a_generator() -> Iterator[int]:
    yield 1


class Home:
    def method(self) -> None: ...


async def later() -> None: ...


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (lambda: 1, "write the pipeline with def"),
        (Home, "not over the class Home"),
        (Home().method, "not a method"),
        (staticmethod(a_generator), "not a method"),
        (Home.method, "not a method"),
        (double, "is a component"),
        (plain, "is a pipeline already"),
        (a_generator, "cannot yield"),
        (functools.partial(a_generator), "stands over a function"),
        (3, "stands over a function"),
        ("nightly", "@pipeline(name='nightly')"),
        (len, "stands over a function"),
    ],
)
def test_what_cannot_be_a_pipeline_is_told_what_to_do(thing: Any, said: str) -> None:
    assert said in problems(lambda: pipeline(thing))[0]


def test_a_coroutine_is_no_pipeline_and_is_not_left_unawaited() -> None:
    assert "without calling it" in problems(lambda: pipeline(later()))[0]  # type: ignore[call-overload]


def test_a_pipeline_in_a_class_cannot_be_called_on_an_instance() -> None:
    class Holder:
        held = plain

    assert Holder.held is plain
    with pytest.raises(ValidationError, match="not a method"):
        _ = Holder().held


def test_it_is_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(plain)) is plain
    again = pickle.loads(pickle.dumps(plain.options(id="first", timeout=5)))
    assert (again.definition.id, again.settings.timeout, again.fn) == ("first", 5.0, plain.fn)


# -- variants ------------------------------------------------------------------------------------------


def test_options_give_a_variant_and_leave_the_original() -> None:
    variant = full.options(id="part", detached=True).options(timeout=5, name="tonight")
    assert (variant.definition.id, variant.definition.detached, variant.name) == ("part", True, "tonight")
    assert (variant.settings.timeout, variant.settings.max_parallel) == (5.0, 3)
    assert variant.schedule == full.schedule
    assert (full.definition.id, full.settings.timeout, full.name) == (None, 60.0, "every_night")


def test_another_error_handler_leaves_the_config_of_the_one_before() -> None:
    variant = full.options(error_handler="continue")
    assert (variant.settings.error_handler, variant.definition.declared.handler) == ("continue", None)
    assert full.options(error_handler="custom").definition.declared.handler == "tell"


def test_wrong_options_are_told_at_once() -> None:
    told = problems(lambda: plain.options(idd="x", id="", detached=1, max_parallel=0, name=""))
    assert len(told) == 5
    assert "plain.idd: is not an option of a pipeline; did you mean 'id'?" in told
    assert "schedule" in problems(lambda: plain.options(schedule="* * * * *"))[0]


# -- by name -------------------------------------------------------------------------------------------


def test_pipelines_and_components_are_told_apart() -> None:
    assert mine.find_pipeline("plain") is plain
    assert mine.find_pipeline(f"{__name__}:plain") is plain
    assert mine.pipelines() == ["every_night", "plain"]
    assert mine.names() == ["double", "tell"]
    with pytest.raises(NotFoundError, match="'plain' is a pipeline, not a component"):
        mine.find("plain")
    with pytest.raises(NotFoundError, match="'double' is a component, not a pipeline"):
        mine.find_pipeline("double")
    with pytest.raises(NotFoundError, match="near: plain"):
        mine.find_pipeline("plan")


def test_the_public_lists_are_those_of_the_process() -> None:
    @pipeline(name="listed here")
    def one() -> None: ...

    @component(name="listed there")
    def two() -> None: ...

    assert "listed here" in public.pipelines()
    assert "listed here" not in public.components()
    assert "listed there" in public.components()


def test_both_may_have_one_name() -> None:
    shared = Registry()
    first = component(registry=shared, name="same")(double.fn)
    second = pipeline(registry=shared, name="same")(plain.fn)
    assert shared.find("same") is first
    assert shared.find_pipeline("same") is second


def test_a_pipeline_is_not_registered_as_a_component() -> None:
    with pytest.raises(ValidationError, match="is no component"):
        register_component("x", plain, registry=Registry())


# -- calling -------------------------------------------------------------------------------------------


def test_inputs_are_bound_as_python_binds_them() -> None:
    assert plain.bind((1,), {"more": 2.0}) == {"n": 1, "more": 2.0}
    assert plain.bind((1,), {}) == {"n": 1}
    assert full.bind(("today",), {"extra": 1}) == {"day": "today", "extra": 1}


@pytest.mark.parametrize("given", [((), {}), ((1, 2, 3), {}), ((1,), {"n": 2}), ((1,), {"nn": 2})])
def test_a_call_that_does_not_fit_is_a_type_error(given: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
    args, kwargs = given
    with pytest.raises(TypeError, match="plain\\(\\)"):
        plain(*args, **kwargs)


def test_inputs_of_wrong_types_are_told_by_parameter() -> None:
    compiled = prepare(plain)
    compiled.check({"n": 1, "more": 1})
    assert problems(lambda: compiled.check({"n": "1", "more": "2", "les": 1})) == [
        "plain.les: is not an input of it; known are more, n",
        "plain.n: must be an int, not '1'",
        "plain.more: must be a float, not '2'",
    ]
    assert problems(lambda: compiled.check({})) == ["plain.n: is missing"]
    prepare(full).check({"day": "today", "anything": object()})


def test_inside_a_body_calls_go_to_the_caller(caller: Recorder) -> None:
    part = Threshold({"least": 1})
    assert double(1) == "a handle"  # type: ignore[comparison-overlap]
    assert part(data=[1, 2]) == "a handle"
    assert plain(n=3) == "a handle"  # type: ignore[comparison-overlap]
    assert caller.calls == [(double, (1,), {}), (part, (), {"data": [1, 2]}), (plain, (), {"n": 3})]


def test_outside_a_component_is_the_plain_function() -> None:
    assert double(2) == 4
    assert Threshold({"least": 1})(data=[1, 2]) == [2]
    with pytest.raises(TypeError, match="inputs by name"):
        Threshold()([1, 2])


def test_submitting_inside_a_body_names_the_remedy(caller: Recorder) -> None:
    with pytest.raises(ValidationError, match="detached=True"):
        plain.submit(1)


@pytest.mark.parametrize("verb", ["run", "submit"])
def test_a_workflow_is_not_started_by_a_body_but_once_by_a_side_effect(
    caller: Recorder, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inprocess, verb, lambda *given: "started")
    start = getattr(Workflow("drawn").add_component("a", double, n=1), verb)
    with pytest.raises(
        ValidationError, match=rf"drawn\.{verb}\(\.\.\.\) inside a pipeline would start it anew.*side_effect"
    ):
        start()
    caller.in_side_effect = True
    assert start() == "started"


def test_a_file_that_is_loaded_for_its_pipeline_does_not_run_it() -> None:
    with pytest.raises(inprocess.FoundWhileLoading) as found, inprocess.loading():
        plain(1)
    assert found.value.found is plain


def test_where_it_is_found_again() -> None:
    assert target_of(plain) == f"{__file__}:plain"
    assert target_of(plain) == f"{__file__}:plain"


def test_where_it_was_found_it_need_not_be_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    @pipeline
    def moved() -> int:
        return 1

    home = sys.modules[__name__]
    monkeypatch.setattr(home, "here", moved, raising=False)
    assert target_of(moved) == f"{__file__}:here"
    monkeypatch.delattr(home, "here")
    monkeypatch.setattr(home, "there", moved, raising=False)
    assert target_of(moved) == f"{__file__}:there"


# -- made ready ----------------------------------------------------------------------------------------


def test_what_it_may_call_is_found_before_it_begins() -> None:
    compiled = prepare(plain)
    assert (compiled.name, compiled.entry) == ("plain", f"{__name__}:plain")
    assert list(compiled.objects) == [f"{__name__}:double"]
    assert list(compiled.bodies) == [compiled.entry]


def test_the_error_handler_is_looked_up_when_it_begins() -> None:
    compiled = prepare(full)
    assert [spec.component for spec in compiled.specs] == ["tell"]
    assert compiled.settings.handler_component == 0
    assert compiled.settings.handler_args == ("message", "node_id")
    unknown: Pipeline[..., Any] = full.options(error_config={"handler": "tel"})
    told = problems(lambda: prepare(unknown))
    assert told == ["every_night.error_config.handler: no component is called 'tel' (near: tell)"]
