"""Bytes from elsewhere: valid texts with something wrong in them, and plain rubbish."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

JUNK: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["$", "ref", "", "0" * 64, "NaN", [], {}, [[]], {"$": "ref"}, {"$": []}, {"$": {}}, [None]]),
)
_PIECES = ("", '"', "{", "]", "\x00", "9", "\ud800")
_DEEP = ["[" * 40_000, '{"a":' * 15_000, '{"$":"tuple","v":[' * 2_000 + "]}" * 2_000]


@st.composite
def spoiled_text(draw: st.DrawFn, seeds: Sequence[str]) -> str:
    """A text of which a few characters were changed, lost or doubled."""
    text = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 8)))
        text = text[:start] + draw(st.sampled_from([*_PIECES, text[start:end] * 2])) + text[end:]
    return text


@st.composite
def spoiled_tree(draw: st.DrawFn, seeds: Sequence[str]) -> str:
    """JSON of which some parts are of another kind, or gone, or have another name."""
    tree = json.loads(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        tree = _spoil(draw, tree)
    return json.dumps(tree)


def _spoil(draw: st.DrawFn, tree: Any) -> Any:
    if not tree or not isinstance(tree, dict | list) or draw(st.integers(0, 5)) == 0:
        return draw(JUNK)
    if isinstance(tree, list):
        position = draw(st.integers(0, len(tree) - 1))
        if draw(st.integers(0, 5)) == 0:
            return tree[:position] + tree[position + 1 :]
        return [*tree[:position], _spoil(draw, tree[position]), *tree[position + 1 :]]
    name = draw(st.sampled_from(sorted(tree)))
    rest = {key: value for key, value in tree.items() if key != name}
    way = draw(st.integers(0, 7))
    if way == 0:
        return rest
    if way == 1:
        return {**rest, draw(st.text(max_size=4)): tree[name]}
    return {**rest, name: _spoil(draw, tree[name])}


def spoiled(seeds: Sequence[str]) -> st.SearchStrategy[str]:
    return st.one_of(spoiled_tree(seeds), spoiled_text(seeds), st.text(max_size=20), st.sampled_from(_DEEP))
