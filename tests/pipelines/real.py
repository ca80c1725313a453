"""`python -m tests.pipelines.real FILE`: run every row in this process's engine with real workers, and write down how
each ended, one JSON line per row."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.pipelines.case import Case, Outcome
from tests.pipelines.effects import VARIABLE
from tests.pipelines.ways import rows
from twingraph import wiring
from twingraph.core.codec import encode


def main(path: Path) -> None:
    traces = path.with_suffix(".effects")
    os.environ[VARIABLE] = str(traces)  # before the first worker is there
    with path.open("w", encoding="utf-8") as file:
        for name, case in rows().items():
            traces.write_text("")
            started = time.monotonic()
            seen = _run(case, traces)
            print(json.dumps({"name": name, **seen, "seconds": time.monotonic() - started}), file=file, flush=True)


def _run(case: Case, traces: Path) -> dict[str, Any]:
    execution = case.run.submit(**case.inputs)
    runtime = wiring.runtime()
    reader = wiring.read(runtime.home, runtime.settings)
    for signal, value in (*case.signals, *case.answers):
        reader.send_signal(execution.id, signal, encode(value).text)
    outcome = Outcome.of(lambda: execution.result(timeout=30))
    view = reader.view(execution.id)
    reader.close()
    lines = sorted(traces.read_text("utf-8").splitlines())
    return {"outcome": repr(outcome), "nodes": sorted(node.id for node in view.nodes), "effects": lines}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
