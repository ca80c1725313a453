from __future__ import annotations

import json
from typing import Any

import pytest

from twingraph.core.codec import decode, encode
from twingraph.executors.builtins import run_builtin
from twingraph.executors.runner import Answer
from twingraph.store.blobs.memory import MemoryBlobs


def run(name: str, **values: Any) -> Answer:
    blobs = MemoryBlobs()
    arguments = [(key, encode(value, blobs=blobs).text) for key, value in values.items()]
    return run_builtin(
        name,
        arguments,
        lambda text: decode(text, blobs=blobs),
        lambda value, path: encode(value, blobs=blobs, path=path),
        lambda: blobs,
    )


@pytest.mark.parametrize(
    ("condition", "expected"), [("n > 3 and n < 9", "true"), ("len(names) == 1", "false"), ("'a' in names", "true")]
)
def test_a_condition_chooses(condition: str, expected: str) -> None:
    assert run("branch", condition=condition, n=5, names=["a", "b"]).texts == [expected]


@pytest.mark.parametrize("condition", ["n.__class__", "open('x')", "missing", "().__class__.__bases__"])
def test_what_a_condition_may_not_do(condition: str) -> None:
    answer = run("branch", condition=condition, n=5)
    assert answer.status == "failed"
    assert answer.error is not None
    assert answer.error["permanent"]


def test_items_get_keys() -> None:
    answer = run("expand", items=[{"id": "x"}, {"id": "y"}], key="id")
    assert (answer.shape, [name for name, _, _ in answer.outputs]) == ("expand", ["x", "y"])
    assert [name for name, _, _ in run("expand", items=(5, 6)).outputs] == ["0", "1"]
    assert [name for name, _, _ in run("expand", items={"k": 1}).outputs] == ["k"]
    assert [name for name, _, _ in run("expand", items=[5, 6], key="item * 2 + index").outputs] == ["10", "13"]


def test_a_key_that_two_items_have_names_both() -> None:
    answer = run("expand", items=[1, 2, 1], key="item * 1")
    assert answer.error is not None
    assert "items 0 and 2" in answer.error["message"]


def test_a_large_list_is_spread_line_by_line() -> None:
    answer = run("expand", items=["x" * 100] * 1000)
    assert len(answer.texts) == 1000
    assert json.loads(answer.texts[999]) == "x" * 100


def test_a_text_is_no_list() -> None:
    assert run("expand", items="abc").status == "failed"
