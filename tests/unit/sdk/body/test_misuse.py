"""What is used wrongly in a body says what to do."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from twingraph import component, gather, pipeline, side_effect
from twingraph.errors import CodecError, HandleMisused
from twingraph.testing import Inline


@component
def one(x: int) -> int:
    return x


@pipeline
def inner(x: int) -> int:
    return one(x)


async def asynchronous() -> int:
    return 1


@pipeline
def of_a_node(target: str) -> Any:
    return side_effect({"one": one, "inner": inner}[target], 3)


@pipeline
def of_an_async_function() -> Any:
    return side_effect(asynchronous)


@pipeline
async def forgets_to_await() -> Any:
    return gather(one(1), one(2))


@pytest.mark.parametrize(("target", "told"), [("one", "'one' is a component"), ("inner", "'inner' is a pipeline")])
def test_a_node_is_no_side_effect(target: str, told: str, inline: Inline) -> None:
    execution = inline.start(of_a_node, target=target)
    with pytest.raises(TypeError, match=f"takes a plain function, and {told}: call it as it is"):
        execution.result()
    assert execution.nodes == {}


def test_a_side_effect_does_not_wait(inline: Inline) -> None:
    with pytest.raises(TypeError, match="asynchronous gave a coroutine, and a side effect does not wait"):
        inline(of_an_async_function)
    gc.collect()  # a coroutine that nobody has awaited warns now, and a warning fails the test


@pytest.mark.filterwarnings("ignore:coroutine 'gather' was never awaited")
def test_a_missing_await_is_named(inline: Inline) -> None:
    with pytest.raises(CodecError, match="nobody has awaited; write `await` before the call of gather"):
        inline(forgets_to_await)
    gc.collect()


def test_a_handle_is_of_no_use_once_its_body_has_ended(inline: Inline) -> None:
    kept: list[Any] = []

    @pipeline
    def keeps() -> None:
        kept.append(one(3))

    @pipeline
    def uses() -> Any:
        return kept[0] + 1

    inline(keeps)
    with pytest.raises(HandleMisused, match="after its pipeline's body has ended: return its value"):
        kept[0].result()
    with pytest.raises(HandleMisused, match="after its pipeline's body has ended: return its value"):
        inline(uses)
