"""What a runner can do without the author's code: evaluate the condition of a branch, spread a map's items."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from twingraph.executors.runner import Answer, describe

_FUNCTIONS: dict[str, Any] = {
    "len": len, "min": min, "max": max, "abs": abs, "round": round,
    "str": str, "int": int, "float": float, "bool": bool,
}  # fmt: skip

Arguments = Iterable[tuple[str, str]]
Decode = Callable[[str], Any]
Encode = Callable[[Any, str], tuple[str, str, int]]


class _Values(dict[str, Any]):
    """Names of an expression; a value is decoded when it is first looked at."""

    def __init__(self, texts: dict[str, str], decode: Decode) -> None:
        super().__init__()
        self._texts = texts
        self._decode = decode

    def __missing__(self, name: str) -> Any:
        self[name] = value = self._decode(self._texts[name])
        return value


def evaluate(expression: str, names: dict[str, Any]) -> Any:
    """Names, constants, arithmetic, comparisons, indexing, and a few functions; no attributes."""
    from simpleeval import EvalWithCompoundTypes

    evaluator = EvalWithCompoundTypes(functions=_FUNCTIONS, names=names)
    evaluator.nodes.pop(ast.Attribute, None)
    return evaluator.eval(expression.strip())


def run_builtin(name: str, arguments: Arguments, decode: Decode, encode: Encode, blobs: Callable[[], Any]) -> Answer:
    """Never raises: a mistake in an expression or in the items is the node's failure."""
    texts = dict(arguments)
    try:
        if name == "branch":
            return _branch(texts, decode, encode)
        if name == "expand":
            return _expand(texts, decode, encode, blobs)
        raise LookupError(f"there is no built-in named {name!r}; there are branch and expand")
    except BaseException as error:
        record = describe(error, "user_error", permanent=True)
        record["traceback"] = None
        return Answer("failed", error=record)


def _branch(texts: dict[str, str], decode: Decode, encode: Encode) -> Answer:
    condition = decode(texts.pop("condition"))
    names = _Values(texts, decode)
    try:
        choice = bool(evaluate(condition, names))
    except Exception as error:
        raise ValueError(f"the condition {condition!r} could not be evaluated: {error}") from error
    text, digest, size = encode(choice, "choice")
    return Answer("completed", "plain", [("choice", digest, size)], [text])


def _expand(texts: dict[str, str], decode: Decode, encode: Encode, blobs: Callable[[], Any]) -> Answer:
    key = decode(texts["key"]) if "key" in texts else None
    names: dict[str, int] = {}
    outputs, found = [], []
    for index, (own, text, item) in enumerate(_items(texts["items"], decode, encode, blobs)):
        name = own if key is None else _key_text(key, index, item)
        if name in names:
            raise ValueError(
                f"items {names[name]} and {index} of the map both have the key {name!r}; "
                "choose `key` so that every item has its own"
            )
        names[name] = index
        outputs.append((name, *text[1:]))
        found.append(text[0])
    return Answer("completed", "expand", outputs, found)


def _key_text(key: str, index: int, item: Callable[[], Any]) -> str:
    """A field of the item, or an expression over `item` and `index`."""
    value = item()
    if key.isidentifier() and key not in ("item", "index"):
        try:
            return str(value[key] if isinstance(value, dict) else getattr(value, key))
        except (KeyError, AttributeError):
            raise ValueError(f"item {index} of the map has no field {key!r}, which is its `key`") from None
    try:
        return str(evaluate(key, {"item": value, "index": index}))
    except Exception as error:
        raise ValueError(f"the key {key!r} could not be evaluated for item {index}: {error}") from error


Item = tuple[str, tuple[str, str, int], Callable[[], Any]]


def _items(text: str, decode: Decode, encode: Encode, blobs: Callable[[], Any]) -> Iterator[Item]:
    """(own key, (text, hash, size), the item when asked). A large list is read line by line and not decoded."""
    if text.startswith('{"$":"ref"') and '"rung":"list"' in text:
        from twingraph.core.codec import hash_text
        from twingraph.core.codec_base import fetch, loads
        from twingraph.core.codec_lists import list_lines

        for index, line in enumerate(list_lines(fetch(blobs(), loads(text)["hash"]))):
            yield str(index), (line, hash_text(line), len(line.encode())), partial(decode, line)
        return
    value = decode(text)
    pairs = ((str(k), v) for k, v in value.items()) if isinstance(value, dict) else _numbered(value)
    for own, item in pairs:
        yield own, encode(item, f"items[{own}]"), partial(_same, item)


def _same(item: Any) -> Any:
    return item


def _numbered(value: Any) -> Iterator[tuple[str, Any]]:
    rows: Any = value
    for method, settings in (("to_pylist", ()), ("to_dicts", ()), ("to_dict", ("records",))):
        if hasattr(value, method):
            rows = getattr(value, method)(*settings)
            break
    if isinstance(rows, str | bytes) or not hasattr(rows, "__iter__"):
        raise TypeError(f"a map needs a list of items, not {type(value).__name__}")
    return ((str(index), item) for index, item in enumerate(rows))
