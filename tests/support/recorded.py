"""`python -m tests.support.recorded`: keep the journals of all examples as this version writes them.

Done once for each release; the file stays, and every later version must be able to load it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from twingraph import __version__
from twingraph.core.events import SCHEMA_VERSION
from twingraph.engine.folding import restore
from twingraph.store.base import Row
from twingraph.store.home import Home
from twingraph.store.sqlite.store import SqliteStore

ROOT = Path(__file__).parents[2]
JOURNALS = ROOT / "tests" / "conformance" / "store" / "journals"


def told(execution: str, rows: list[Row]) -> dict[str, Any]:
    """What a journal amounts to: how the execution ended, and each node."""
    state = restore(execution, None, rows)
    return {
        "status": str(state.status),
        "nodes": {name: str(node.status) for name, node in state.nodes.items()},
        "result": (rows[-1].data or "").partition("\n")[0],
    }


def journals(home: Path) -> Iterator[dict[str, Any]]:
    store = SqliteStore(Home(home).open())
    with closing(store.records()) as records:
        for record in reversed(records.page(limit=1_000)[0]):
            rows = records.rows(record.id)
            yield {
                "id": record.id,
                "name": record.name,
                "schema": SCHEMA_VERSION,
                "told": told(record.id, rows),
                "rows": [list(row) for row in rows],
            }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        surroundings = {**os.environ, "TWINGRAPH_HOME": str(home), "TWINGRAPH_PROGRESS": "off", "PYTHONPATH": str(ROOT)}
        for example in sorted((ROOT / "examples").glob("*.py")):
            shutil.copy(example, folder)
            subprocess.run([sys.executable, example.name], cwd=folder, env=surroundings, check=True)
        lines = [
            json.dumps(journal).replace(folder, "/examples").replace(sys.base_prefix, "/python")
            for journal in journals(home)
        ]
    JOURNALS.mkdir(exist_ok=True)
    (JOURNALS / f"{__version__}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
