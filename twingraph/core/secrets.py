"""References to secrets in texts: `${secret:NAME}`; `$${secret:` stands for those characters themselves.

Only the runner's side ever sees a value: everything that is kept says the reference. Python 3.8 syntax.
"""

from __future__ import annotations

import re
from json.encoder import encode_basestring as _quote
from typing import Any, Callable, Container, Iterator

MARK = "${secret:"
# A name, or `provider:place`. Nothing in it is ever written differently inside a JSON text.
_NAME = r"[A-Za-z_][A-Za-z0-9_./:@#+=~-]{0,499}"
_FOUND = re.compile(r"\$\$\{secret:|\$\{secret:(?:(" + _NAME + r")\})?")
_ANY = re.compile(r"\$\{secret:(" + _NAME + r")\}")
_FORM = "write ${secret:NAME}, the name of letters, digits and any of _ . / : @ # + = ~ -, or $${secret: for the text"


class MalformedReferenceError(ValueError):
    """A text begins a reference to a secret and does not end it."""


def mentions(text: str) -> bool:
    """Whether there is anything to be done with the text at all."""
    return MARK in text


def expand(text: str, value_of: Callable[[str], str], in_json: bool = False) -> str:
    """The text with every reference replaced. `in_json`: it is the text of a value, and stays one."""

    def put(found: re.Match[str]) -> str:
        if found.group().startswith("$$"):
            return MARK
        value = value_of(_name(found))
        return _quote(value)[1:-1] if in_json else value

    return _FOUND.sub(put, text)


def names_in(text: str) -> Iterator[str]:
    """The names of the secrets that a text refers to."""
    for found in _FOUND.finditer(text):
        if not found.group().startswith("$$"):
            yield _name(found)


def _name(found: re.Match[str]) -> str:
    name = found.group(1)
    if name is None:
        shown = found.string[found.start() : found.start() + 40]
        raise MalformedReferenceError(f"{shown!r} is not a reference to a secret; {_FORM}")
    return str(name)


def problem_in(text: str) -> str | None:
    """What is wrong with the references of a text."""
    try:
        for _ in names_in(text):
            pass
    except MalformedReferenceError as problem:
        return str(problem)
    return None


def protect(text: str) -> str:
    """The text as it has to be written for `expand` to give it back: what comes from elsewhere names no secrets."""
    return text.replace(MARK, "$" + MARK) if MARK in text else text


def as_written(text: str) -> str:
    """A text for where no secrets are known: references stay, and `$${secret:` is what it stands for."""
    return text.replace("$" + MARK, MARK) if MARK in text else text


def protect_names(text: str, names: Container[str]) -> str:
    """The same for these names alone."""

    def put(found: re.Match[str]) -> str:
        return "$" + found.group() if found.group(1) in names else found.group()

    return _FOUND.sub(put, text)


def mentioned_in(text: str) -> Iterator[str]:
    """The names that stand in a text which somebody else wrote, however it would be read."""
    return (found.group(1) for found in _ANY.finditer(text))


def texts_in(tree: Any) -> Iterator[str]:
    """Every text of a tree of mappings and lists, keys left alone."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for part in tree.values():
            yield from texts_in(part)
    elif isinstance(tree, (list, tuple)):
        for part in tree:
            yield from texts_in(part)


def expand_tree(tree: Any, value_of: Callable[[str], str]) -> Any:
    """The same tree with every text in it expanded."""
    if isinstance(tree, str):
        return expand(tree, value_of) if MARK in tree else tree
    if isinstance(tree, dict):
        return {key: expand_tree(part, value_of) for key, part in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [expand_tree(part, value_of) for part in tree]
    return tree
