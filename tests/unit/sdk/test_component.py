"""What declaring a component checks, records and leaves alone."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from typing import Any, NamedTuple

import pytest

from twingraph.core.component_settings import PLATFORM_KEYS
from twingraph.core.errors import NotFoundError, ValidationError
from twingraph.sdk.base_component import BaseComponent
from twingraph.sdk.component import component
from twingraph.sdk.registry import Registry, register_component


class Pair(NamedTuple):
    left: int
    right: int


class Reserved(NamedTuple):
    hash: str


@component
def add(x: int, y: int = 2) -> int:
    """Adds."""
    return x + y


def test_a_component_stays_the_plain_function() -> None:
    assert add(1) == 3
    assert add.__doc__ == "Adds."
    assert list(inspect.signature(add).parameters) == ["x", "y"]


def test_an_async_component_stays_a_coroutine_function() -> None:
    @component
    async def later(x: int) -> int:
        return x

    assert asyncio.run(later(4)) == 4


def test_it_is_pickled_by_reference_and_variants_with_their_settings() -> None:
    assert pickle.loads(pickle.dumps(add)) is add
    variant = pickle.loads(pickle.dumps(add.options(id="n", timeout=5)))
    assert (variant.definition.id, variant.definition.settings["timeout"]) == ("n", 5.0)


def test_everything_wrong_is_told_at_once_with_the_nearest_right_word() -> None:
    with pytest.raises(ValidationError) as caught:
        component(timeoout=3, platform="dokcer", retry_policy={"max_attemps": 2}, timeout=-1)(lambda x: x)
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    assert all(word in text for word in ("'timeout'", "'docker'", "'max_attempts'", "above 0"))


def test_an_argument_wins_over_config_and_config_over_resources() -> None:
    @component(platform="docker", config={"cpu": "2", "timeout": 7}, resources={"cpu": 1, "memory": "1G"}, timeout=3)
    def work() -> None: ...

    settings = work.definition.settings
    assert settings["timeout"] == 3.0
    assert settings["resources"] == {"cpu": "2", "memory": "1G"}


def test_an_unknown_key_of_a_platform_is_an_error() -> None:
    with pytest.raises(ValidationError, match=r"config.memroy: .*'memory'"):
        component(platform="docker", config={"memroy": "1G"})(lambda: None)


@pytest.mark.parametrize("key", sorted({key for keys in PLATFORM_KEYS.values() for key in keys} - {"environment"}))
def test_resources_may_name_what_another_platform_has(key: str) -> None:
    component(resources={key: 1}, registry=Registry())(lambda: None)


@pytest.mark.parametrize("result", ["outputs", "hash", "id", "result"])
def test_reserved_outputs_are_refused(result: str) -> None:
    kind = NamedTuple("kind", [(result, int)])  # type: ignore[misc]

    def work() -> Any: ...

    work.__annotations__["return"] = kind
    with pytest.raises(ValidationError, match="handles keep it"):
        component(work)


def test_star_arguments_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"\*xs has no name"):
        component(lambda *xs: xs)


def test_a_method_is_refused() -> None:
    with pytest.raises(ValidationError, match="not a method"):

        class Thing:
            @component
            def work(self) -> None: ...


def test_a_method_of_an_object_is_refused_too() -> None:
    class Thing:
        def work(self) -> None: ...

    with pytest.raises(ValidationError, match="work: a component is a function, not a method"):
        component(Thing().work)


def test_outputs_come_from_the_annotation() -> None:
    def pair() -> Pair: ...  # type: ignore[empty-body]
    def bare() -> NamedTuple: ...  # type: ignore[empty-body]
    def table() -> dict[str, int]: ...  # type: ignore[empty-body]

    assert component(pair).outputs == ("left", "right")
    assert component(bare).outputs is None
    assert component(table).outputs is None
    assert add.outputs == ("output",)


def test_schemas() -> None:
    schema = add.input_schema()
    assert schema["required"] == ["x"]
    assert schema["properties"]["y"]["default"] == 2
    assert add.output_schema() == {"type": "integer"}


def test_a_base_component_always_has_a_dict() -> None:
    class Above(BaseComponent):
        def __init__(self, config: Any = None) -> None:
            super().__init__(config)
            self.threshold = config.get("threshold", 0.5)

        def validate_inputs(self, **kwargs: Any) -> None:
            if "data" not in kwargs:
                raise ValueError("Missing required input: data")

        def execute(self, data: list[float], **kwargs: Any) -> Any:
            return [x for x in data if x > self.threshold]

    assert Above()(data=[0, 1]) == Above(None)(data=[0, 1]) == [1]
    assert Above({"threshold": 2})(data=[1]) == []
    with pytest.raises(ValueError, match="Missing required"):
        Above()()


def test_two_components_of_one_name_coexist_until_the_name_is_asked_for() -> None:
    registry = Registry()

    def one() -> None: ...
    def two() -> None: ...

    register_component("same", one, registry=registry)
    assert registry.find("same") is one
    register_component("same", two, registry=registry)
    with pytest.raises(ValidationError, match=r"one and .*two"):
        registry.find("same")


def test_an_unknown_name_has_near_ones() -> None:
    registry = Registry()
    register_component("load_data", lambda: None, registry=registry)
    with pytest.raises(NotFoundError) as caught:
        registry.find("lod_data")
    assert caught.value.near == ("load_data",)


def test_a_component_by_its_path() -> None:
    assert Registry().find("math:floor").__name__ == "floor"


@pytest.mark.parametrize(("key", "value"), [("cpu", "two"), ("memory", "2 lots"), ("gpu", -1)])
def test_an_amount_that_cannot_be_read_is_told_at_the_door(key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=f"resources.{key}.*is not a number of"):
        component(resources={key: value})(lambda: None)


@pytest.mark.parametrize("cache", ["yes", {"tll": 3}, 7, {"ttl": "soon"}, {"key": ["y"]}])
def test_a_cache_that_makes_no_sense_is_told_at_declaration(cache: object) -> None:
    with pytest.raises(ValidationError, match="cache"):
        component(cache=cache, registry=Registry())(lambda x: x)


def test_what_is_endless_is_not_cached() -> None:
    with pytest.raises(ValidationError, match="endless"):
        component(cache=True, endless=True, registry=Registry())(lambda x: x)


def test_a_variant_may_be_cached_otherwise() -> None:
    made = component(cache={"ttl": "1h", "key": ["x"]}, registry=Registry())(lambda x, y: x)
    assert made.definition.settings["cache"] == {"ttl": 3600.0, "key": ["x"]}
    assert made.options(cache=False).definition.settings["cache"] is None
    with pytest.raises(ValidationError, match=r"cache\.key.*did you mean 'y'|cache\.key"):
        made.options(cache={"key": ["z"]})


@pytest.mark.parametrize(("node", "sign"), [("a!key", "!"), ("a!handler", "!"), ("sub/a", "/"), ("a[0]", "[")])
def test_ids_that_the_engine_makes_itself_are_refused(node: str, sign: str) -> None:
    with pytest.raises(ValidationError) as caught:
        add.options(id=node)
    assert f"add.id: {node!r} holds {sign!r}, with which the engine makes ids" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"environment": {"A=B": "1"}}, "environment: 'A=B' is not the name of a variable"),
        ({"environment": {"": "1"}}, "environment: '' is not the name of a variable"),
        ({"environment": {"A\0": "1"}}, "environment: 'A\\x00' is not the name of a variable"),
        ({"environment": {"A": "x\0y"}}, "environment.A: holds a zero byte or half a character"),
        ({"environment": {"A": "\ud800"}}, "environment.A: holds a zero byte or half a character"),
        ({"config": {"environment": {"A": "\ud800"}}}, "config.environment.A: holds a zero byte or half a character"),
        ({"limits": {"": 1}}, "limits: the name of a limit must be a text that is not empty, not ''"),
        ({"name": ""}, "name: must be a text that is not empty, not ''"),
        ({"name": 3}, "name: must be a text that is not empty, not 3"),
        ({"name": "a\nb"}, "name: 'a\\nb' holds '\\n', a control character or an end of line"),
        ({"name": "\ud800"}, "name: '\\ud800' holds '\\ud800', half a character"),
    ],
)
def test_what_could_be_kept_or_set_nowhere_is_told_at_declaration(settings: dict[str, Any], said: str) -> None:
    for declared in (component(registry=Registry(), **settings), lambda _: add.options(**settings)):
        with pytest.raises(ValidationError) as caught:
            declared(add.fn)
        (problem,) = caught.value.problems
        assert said in str(problem)


def test_a_setting_of_pipelines_is_told_as_such() -> None:
    with pytest.raises(ValidationError, match=r"add\.max_parallel: is not a setting of a component, but of a pipeline"):
        component(max_parallel=3)(add.fn)
    with pytest.raises(ValidationError, match=r"add\.detached: is not a setting of a component, but of a pipeline"):
        add.options(detached=True)


def test_an_id_that_no_store_can_keep_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"add\.id: '\\ud800' holds '\\ud800', half a character"):
        add.options(id="\ud800")


def test_a_variable_may_hold_what_os_environ_gives_for_bytes_that_are_no_text() -> None:
    made = component(environment={"A\udcff": "\udcfe"}, registry=Registry())(add.fn)
    assert made.definition.settings["environment"] == {"A\udcff": "\udcfe"}
