"""Run as a process: imports every named case plainly, calls it, slices it, and prints both as JSON."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

from twingraph.sdk.slicing import bundle, slice_of


def shown(value: Any) -> str:
    if inspect.iscoroutine(value):
        value = asyncio.run(value)
    return repr(value)


def main(root: Path, requests: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    sys.path.insert(0, str(root))
    answers: dict[str, dict[str, Any]] = {}
    for case, request in requests.items():
        module = importlib.import_module(request["module"])
        target = getattr(module, request["target"])
        found = slice_of(target)
        answers[case] = {
            "expected": [shown(eval(call, {request["target"]: target})) for call in request["calls"]],
            "bundle": bundle({"entry": found}),
            "slice": {
                **{f.name: getattr(found, f.name) for f in dataclasses.fields(found) if f.name != "modules"},
                "texts": {name: part.text for name, part in found.modules.items()},
            },
        }
    return answers


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), json.load(sys.stdin)), default=str))
