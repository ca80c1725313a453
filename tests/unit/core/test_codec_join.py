"""A list that is joined from its items is the list that is encoded at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.test_codec import JSON, VALUES
from tests.unit.core.test_codec_long import drained
from twingraph.core.codec import INLINE_LIMIT, Encoded, decode, encode, hash_text
from twingraph.core.codec_join import Joined
from twingraph.store.blobs.memory import MemoryBlobs

KEY = b"k"
LARGE = [list(range(20_000)), {"rows": ["x"] * 20_000, "a": b"y" * 70_000}, ("t" * 40_000, "u" * 40_000), "z" * 70_000]


def joined(items: list[object], blobs: MemoryBlobs | None) -> Encoded:
    """At once, as by and by."""
    found, by_and_by = Joined(blobs), Joined(blobs)
    for item in items:
        text, _, size = encode(item, blobs=blobs, pickle=blobs is not None, key=KEY)
        found.add(text, size)
        by_and_by.add(text, size)
    at_once = found.encoded()
    assert drained(by_and_by.encoding())[0] == at_once
    return at_once


@given(st.lists(JSON, max_size=5))
def test_it_is_the_same_without_a_store(items: list[object]) -> None:
    found, plain = joined(items, None), encode(items)
    assert found.hash == plain.hash == hash_text(found.text)
    assert repr(decode(found.text)) == repr(decode(plain.text))


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_it_is_the_same_with_a_store(number: int) -> None:
    blobs, value = MemoryBlobs(), VALUES[number]
    items: list[object] = [1, value, {"b": value, "a": 2}]
    found = joined(items, blobs)
    assert found.hash == encode(items, blobs=blobs, pickle=True, key=KEY).hash == hash_text(found.text)


def test_a_long_list_of_small_items_is_the_same_to_the_letter() -> None:
    blobs = MemoryBlobs()
    items: list[object] = [{"number": number} for number in range(INLINE_LIMIT // 8)]
    assert joined(items, blobs) == encode(items, blobs=blobs)


@pytest.mark.parametrize("item", LARGE, ids=lambda item: type(item).__name__)
def test_a_large_item_is_stored_once_and_counts_with_what_it_holds(item: object) -> None:
    blobs = MemoryBlobs()
    items: list[object] = [1, item, item]
    found, plain = joined(items, blobs), encode(items, blobs=blobs)
    assert found.hash == plain.hash == hash_text(found.text)
    assert found.size > INLINE_LIMIT
    assert decode(found.text, blobs=blobs) == items
