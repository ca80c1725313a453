from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twingraph.core.secrets import (
    MalformedReferenceError,
    expand,
    expand_tree,
    mentioned_in,
    names_in,
    problem_in,
    protect,
    protect_names,
)

VALUES = {"A": "one", "B.b": 'two "2"', "vault:secret/data/db#password": "three"}


def test_references_stand_alone_and_within_longer_texts() -> None:
    assert expand("${secret:A}", VALUES.__getitem__) == "one"
    assert expand("x=${secret:A}&y=${secret:B.b};", VALUES.__getitem__) == 'x=one&y=two "2";'
    assert expand("${secret:vault:secret/data/db#password}", VALUES.__getitem__) == "three"


def test_two_dollars_stand_for_the_text_itself() -> None:
    assert expand("$${secret:A} ${secret:A}", VALUES.__getitem__) == "${secret:A} one"
    assert list(names_in("$${secret:B.b} ${secret:A} $5 ${other}")) == ["A"]


def test_what_a_value_says_is_not_looked_at_again() -> None:
    assert expand("${secret:X}", lambda _: "${secret:A}") == "${secret:A}"


def test_in_json_a_value_is_quoted() -> None:
    text = json.dumps({"p": "${secret:B.b}\n"})
    assert json.loads(expand(text, VALUES.__getitem__, in_json=True)) == {"p": 'two "2"\n'}


@pytest.mark.parametrize("text", ["${secret:", "${secret:}", "${secret:a b}", "${secret:A", "${secret:0}"])
def test_what_is_not_finished_is_named(text: str) -> None:
    with pytest.raises(MalformedReferenceError, match="write"):
        expand(text, VALUES.__getitem__)
    assert problem_in(text) is not None
    assert problem_in("${secret:A}") is None


@given(st.text(alphabet="$${secret:A}x"))
def test_protected_texts_come_through_unchanged(text: str) -> None:
    for whole in (text, text + "${secret:A}", "$" + text + "$${secret:A}" + text):
        assert expand(protect(whole), VALUES.__getitem__) == whole


def test_trees_are_expanded_deeply() -> None:
    tree = {"a": ["${secret:A}", 1, {"b": "-${secret:A}"}], "c": None}
    assert expand_tree(tree, VALUES.__getitem__) == {"a": ["one", 1, {"b": "-one"}], "c": None}


def test_single_names_are_protected() -> None:
    text = "${secret:A} ${secret:B.b} $${secret:A}"
    assert expand(protect_names(text, {"A"}), VALUES.__getitem__) == '${secret:A} two "2" ${secret:A}'
    assert list(mentioned_in("$${secret:A} ${secret:B} ${secret:")) == ["A", "B"]
