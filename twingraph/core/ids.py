"""Identifiers: distinct types, made from time and chance that the caller brings."""

from __future__ import annotations

from typing import NewType

from twingraph.core.hashing import content_hash

ExecutionId = NewType("ExecutionId", str)
NodeId = NewType("NodeId", str)

# Crockford's alphabet in lower case: no i, l, o or u, so that an id can be read aloud and typed.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


# Two at a time: an id is made for each execution.
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


def _base32(number: int, width: int) -> str:
    """The last `width` digits."""
    pairs = []
    for _ in range((width + 1) // 2):
        pairs.append(_PAIRS[number & 1023])
        number >>= 10
    return "".join(reversed(pairs))[-width:]


def execution_id(milliseconds: int, chance: int) -> ExecutionId:
    """An id that sorts by time: nine digits of milliseconds, seven of chance (35 bits)."""
    return ExecutionId(f"exec-{_base32(milliseconds << 35 | chance, 16)}")


def detached_id(parent: str, node: str) -> ExecutionId:
    """Of the execution that a node stands for: the same whenever it is asked, and beside its parent when sorted."""
    chance = int(content_hash(f"{parent}:{node}".encode())[:16], 16)
    return ExecutionId(f"{parent[:14]:0<14}{_base32(chance, 7)}")


def idempotency_key(execution: str, node: str) -> str:
    """The same for every attempt of a node, so that an outside effect can be recognised."""
    return f"{execution}:{node}"
