"""The components of our own workloads, as a user would write them."""

from __future__ import annotations

from twingraph import component


@component
def inc(x: int) -> int:
    return x + 1


@component
def ones(n: int) -> list[int]:
    return [1] * n


@component
def total(xs: list[int]) -> int:
    return sum(xs)
