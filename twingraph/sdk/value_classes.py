"""Classes of values that go from a script to its nodes: named as workers name them, shipped like components."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from twingraph.core.codec import Encoded, encode


class ValueClasses:
    """What one compiled workflow's constants and inputs are made of. `found` is shipped with the components."""

    def __init__(self, found: dict[str, Any] | None = None) -> None:
        self.found: dict[str, Any] = {} if found is None else found

    def encode(self, value: Any, **how: Any) -> Encoded:
        return encode(value, named=self.name, **how)

    def name(self, kind: type) -> str:
        """The name that is written. A class that stands in a file of the project goes along."""
        from twingraph.sdk.slicing.sources import source_of

        source = source_of(kind.__module__)
        if source is None:
            return f"{kind.__module__}:{kind.__qualname__}"
        name = f"{source.name}:{kind.__qualname__}"
        if "<" not in kind.__qualname__:
            self.found[f"class {name}"] = kind
        return name

    def take(self, text: str) -> None:
        """The classes that a text written before speaks of, as far as this process knows them."""
        if '"class"' not in text:
            return
        for name in _names(json.loads(text)):
            module, _, path = name.partition(":")
            kind = class_named(module, path)
            if isinstance(kind, type):
                self.name(kind)


def _names(tree: Any) -> Iterator[str]:
    todo = [tree]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            if "$" in item and isinstance(item.get("class"), str):
                yield item["class"]
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)


def class_named(module: str, name: str) -> object:
    """What a module that is loaded calls by this name; a script's own module is `__main__` here."""
    from twingraph.sdk.slicing.sources import shipped_main

    places = [sys.modules.get(module)]
    if shipped_main() in (None, module):
        places.insert(0, sys.modules.get("__main__"))
    for place in places:
        found: object = place
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not None:
            return found
    return None
