"""The components of `benchmarks.scale`."""

from __future__ import annotations

from twingraph import component


@component
def inc(x: int) -> int:
    return x + 1


@component
def zeros(n: int) -> list[int]:
    return [0] * n


@component
def sizes(n: int, each: int) -> list[int]:
    return [each] * (n // each)


@component
def total(xs: list[int]) -> int:
    return sum(xs)
