"""A process that makes one plan of recorded code, and ends. What is wanted comes as JSON on its standard input:

`bundle`, the file of the bodies; `entry`, which of them; `sys_path` of the world that they were recorded in; `answer`,
the file that the plan, or why there is none, is written to.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from twingraph.executors.slice_loader import load
from twingraph.sdk.body.tracing import compile_pipeline


def main() -> None:
    wanted = json.loads(sys.stdin.buffer.read())
    for entry in wanted["sys_path"]:
        if entry not in sys.path:
            sys.path.append(entry)
    told = answer(wanted["bundle"], wanted["entry"])
    whole = Path(wanted["answer"])
    part = whole.with_suffix(".part")
    part.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    part.replace(whole)
    os._exit(0)  # the author's code may have left anything behind: threads, hooks, children


def answer(bundle: str, entry: str) -> dict[str, Any]:
    """The plan of a body, or why it cannot be made."""
    try:
        loaded = load(json.loads(Path(bundle).read_text(encoding="utf-8")))
        known = loaded.entries.get(entry)
        if known is None or known["mode"] == "refused":
            return {"error": f"{entry} was not recorded" + (f": {known['note']}" if known else "")}
        found = loaded.get(entry)
        if not getattr(found, "is_pipeline", False):
            return {"error": f"{entry} is no pipeline in the recorded code"}
        return {"plan": compile_pipeline(found).to_dict()}
    except BaseException as error:  # the author's module may raise anything as it is loaded
        return {"error": f"its code could not be loaded: {type(error).__name__}: {error}"}


if __name__ == "__main__":
    main()
