"""Draw docs/states.md from the tables of statuses: `python -m tools.draw_states`."""

import sys
from pathlib import Path
from typing import Any, Mapping, Tuple

from twingraph.core import statuses

PAGE = Path(__file__).resolve().parent.parent / "docs" / "states.md"
HEAD = """# States

Every status of an execution and of a node, and every move between two of them. One table decides, in
`twingraph/core/statuses.py`; this page is drawn from it by `python -m tools.draw_states`. A move outside the table
raises, telling the story so far.
"""


def page() -> str:
    execution = _part("An execution", statuses.EXECUTION_MEANING, statuses.EXECUTION_MOVES, statuses.EXECUTION_OVER)
    node = _part("A node", statuses.NODE_MEANING, statuses.NODE_MOVES, statuses.NODE_OVER)
    return "\n".join([HEAD, execution, node])


def _part(title: str, meaning: Mapping[Any, str], moves: Mapping[Tuple[Any, Any], str], over: Any) -> str:
    lines = [f"## {title}", "", "```mermaid", "stateDiagram-v2", "    [*] --> pending"]
    lines += [f"    {before} --> {after}" for before, after in moves]
    lines += [f"    {status} --> [*]" for status in meaning if status in over]
    lines += ["```", "", "| Status | Meaning |", "| --- | --- |"]
    lines += [f"| `{status}` | {text} |" for status, text in meaning.items()]
    lines += ["", "| From | To | When |", "| --- | --- | --- |"]
    lines += [f"| `{before}` | `{after}` | {_sentence(text)} |" for (before, after), text in moves.items()]
    return "\n".join([*lines, ""])


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def main() -> int:
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
