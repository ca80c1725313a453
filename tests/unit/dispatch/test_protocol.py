from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from twingraph.dispatch.embedded.protocol import Parser

STREAM = (
    b'["h"]\n["o",1,"completed",1,2,0,0,"dict",[["a","h",1],["b","h",1]],null,null]\n1\n"\xc3\xa4"\n'
    b'["i",2,0,2,1.5]\n5\n[6]\n["p",3,[["0","h",1],["1","h",1]]]\n7\n8\n["r",[2]]\n'
)


@given(st.lists(st.integers(0, len(STREAM))))
def test_messages_are_whole_however_the_bytes_are_cut(cuts: list[int]) -> None:
    found: list[tuple[Any, list[str]]] = []
    parser = Parser(lambda head, texts: found.append((head[0], texts)))
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, end in pairwise(edges):
        parser.feed(STREAM[start:end])
    assert found == [("h", []), ("o", ["1", '"ä"']), ("i", ["5", "[6]"]), ("p", ["7", "8"]), ("r", [])]
