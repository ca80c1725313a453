"""Suggestions for words that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], most: int = 3) -> tuple[str, ...]:
    from difflib import get_close_matches  # few words are wrong

    return tuple(get_close_matches(word, list(known), n=most, cutoff=0.5))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A clause to append to an error: the nearest right words, or all of them when none is near."""
    known = sorted(known)
    near = nearest(word, known)
    if near:
        return f"did you mean {' or '.join(repr(name) for name in near)}?"
    return f"known are {', '.join(known)}" if known else "none is known"
