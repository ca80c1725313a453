"""`python -m tests.pipelines.record`: write down the nodes of each row, when a row is new or its calls have changed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.pipelines import ways

if __name__ == "__main__":
    found = {name: ways.live(case).nodes for name, case in ways.rows().items()}
    path = Path(__file__).with_name("recorded.json")
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"{len(found)} rows in {path}")
