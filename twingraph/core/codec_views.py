"""Values as people and REST see them. Works on the text alone: no class is looked up, no blob opened. Python 3.8."""

from __future__ import annotations

from typing import Any

from twingraph.core.codec_base import UNREADABLE, dumps, loads, unreadable

_SHOWN = {"table": "Table", "batch": "RecordBatch", "pandas": "DataFrame", "series": "Series"}
_SHOWN.update(polars="DataFrame", polars_series="Series")


def plain(text: str, *, limit: int | None = None) -> Any:
    """The value as untagged JSON data; containers longer than `limit` are cut and end in `{"$more": n}`."""
    try:
        return _plain(loads(text), limit)
    except UNREADABLE as error:
        raise unreadable(error) from error


def _plain(tree: Any, limit: int | None) -> Any:
    if type(tree) is list:
        shown = [_plain(item, limit) for item in (tree if limit is None else tree[:limit])]
        return shown if len(shown) == len(tree) else [*shown, {"$more": len(tree) - len(shown)}]
    if type(tree) is not dict:
        return tree
    if "$" not in tree:
        return _object(tree.items(), limit)
    tag, inner = tree["$"], tree.get("v")
    if tag == "ref":
        summary = {"$ref": tree["hash"], "rung": tree["rung"], "size": tree["size"]}
        summary.update((name, tree[name]) for name in ("type", "dtype", "shape", "n", "as") if name in tree)
        return summary
    if tag in ("npy", "arrow"):
        return dict({"$": tag}, **{name: tree[name] for name in ("dtype", "shape", "as") if name in tree})
    if tag in ("dict", "ordereddict"):
        return _object([(_key(key, limit), item) for key, item in inner or ()], limit)
    if tag in ("datetime", "time"):
        return str(inner)[:-6] + "Z" if str(inner).endswith("+00:00") else inner
    if tag == "float":
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(inner)]
    if tag == "npscalar":
        return _plain(tree["shown"], limit)
    if tag == "int":
        return inner  # hexadecimal: most readers of JSON take no number of that length
    if tag == "str":
        return _surrogates(str(inner))
    if tag == "ellipsis":
        return "..."
    if tag == "timedelta":
        return inner[0] * 86400 + inner[1] + inner[2] / 1e6 if inner else 0
    if tag == "complex" and inner:
        return "{}{:+}j".format(*(_number(part) for part in inner))
    if tag == "timezone":
        return tree.get("name") or _plain({"$": "timedelta", "v": inner}, limit)
    return _plain(inner, limit)


def _number(part: Any) -> float:
    return float(part["v"] if type(part) is dict else part)


def _surrogates(data: str) -> str:
    from binascii import a2b_base64

    return a2b_base64(data).decode("utf-8", "replace")


def _object(pairs: Any, limit: int | None) -> dict[str, Any]:
    pairs = list(pairs)
    shown = {key: _plain(item, limit) for key, item in (pairs if limit is None else pairs[:limit])}
    if limit is not None and len(pairs) > limit:
        shown["$more"] = len(pairs) - limit
    return shown


def _key(tree: Any, limit: int | None) -> str:
    key = _plain(tree, limit)
    return key if type(key) is str else dumps(key)


def preview(text: str, width: int = 80) -> str:
    """One short line for a terminal."""
    try:
        return _cut(_preview(loads(text), width), width)
    except UNREADABLE as error:
        raise unreadable(error) from error


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: max(0, width - 1)] + "…"


def _preview(tree: Any, width: int) -> str:
    if type(tree) is str:
        return repr(_cut(tree, max(4, width - 2)))
    if tree is None or type(tree) in (bool, int, float):
        return repr(tree)
    if type(tree) is list:
        return _row("[", [(None, item) for item in tree[:width]], len(tree), "]", width)
    if "$" not in tree:
        return _row("{", [(repr(key), item) for key, item in list(tree.items())[:width]], len(tree), "}", width)
    tag, inner = tree["$"], tree.get("v")
    rung = tree.get("rung", tag)
    if rung == "npy":
        return "ndarray {} {}".format(tree["dtype"], "×".join(map(str, tree["shape"])))  # noqa: RUF001
    if rung == "arrow":
        return "{} {}".format(_SHOWN[tree["as"]], "×".join(map(str, tree["shape"])))  # noqa: RUF001
    if tag == "ref":
        if rung == "list":
            return "{} of {} items".format(tree.get("as", "list"), tree["n"])
        return "{} ({} bytes)".format(tree.get("type", rung).rpartition(":")[2], tree["size"])
    if tag in ("bytes", "bytearray"):
        size = len(inner or "") * 3 // 4 - str(inner)[-2:].count("=")
        return f"{tag} ({size} bytes)"
    if tag in ("dataclass", "namedtuple", "model"):
        name = tree["class"].rpartition(":")[2].rpartition(".")[2]
        pairs = list((inner or {}).items())
        return _row(name + "(", pairs[:width], len(pairs), ")", width, "=")
    if tag == "enum":
        return "{}.{}".format(tree["class"].rpartition(":")[2], tree["name"])
    if tag in ("tuple", "set", "frozenset", "deque"):
        opening, closing = {"tuple": ("(", ")"), "set": ("{", "}")}.get(tag, (tag + "(", ")"))
        return _row(opening, [(None, item) for item in (inner or [])[:width]], len(inner or []), closing, width)
    if tag in ("dict", "ordereddict"):
        pairs = [(_preview(key, width), item) for key, item in (inner or [])[:width]]
        return _row("{", pairs, len(inner or []), "}", width)
    shown = _plain(tree, 10)
    return shown if type(shown) is str else _preview(shown, width)


def _row(opening: str, pairs: list[Any], count: int, closing: str, width: int, sign: str = ": ") -> str:
    shown: list[str] = []
    used = len(opening) + len(closing) + len(f" … {count} items")
    for name, item in pairs:
        part = ("" if name is None else str(name) + sign) + _preview(item, max(10, width // 2))
        used += len(part) + 2
        if used > width:
            break
        shown.append(part)
    if len(shown) < count:
        shown.append(f"… {count} items")
    return opening + ", ".join(shown) + closing
