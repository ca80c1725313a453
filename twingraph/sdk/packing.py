"""From the code of a compiled workflow to the bundle that its workers load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from twingraph.sdk.slicing import bundle, slice_of


def pack(objects: Mapping[str, Any], sources: Mapping[str, str]) -> bytes:
    """The functions, classes and code nodes under these keys, as canonical JSON: equal code gives equal bytes."""
    packed = bundle({key: slice_of(target) for key, target in objects.items()})
    for key, text in sources.items():
        name = f"_code_{len(packed['modules'])}"
        packed["modules"][name] = {"file": f"<{key}>", "text": text, "package": False, "main": False, "search": []}
        packed["entries"][key] = {
            "mode": "slice",
            "module": name,
            "name": "run",
            "factory": None,
            "closure": {},
            "file": f"<{key}>",
            "main": False,
        }
    return json.dumps(packed, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
