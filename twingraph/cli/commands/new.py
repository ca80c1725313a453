"""`twingraph new NAME`: a short file to begin with."""

from __future__ import annotations

import argparse
import keyword
import re
from pathlib import Path

from twingraph.cli.app import App
from twingraph.cli.errors import COMPLETED, UsageError

EXAMPLE = """twingraph new hello
twingraph run hello.py"""

_TEMPLATE = Path(__file__).parent.parent / "templates" / "new.py.txt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the file to write is NAME.py; it never replaces one")


def run(args: argparse.Namespace, app: App) -> int:
    file = _file(args.name)
    text = _TEMPLATE.read_text(encoding="utf-8").replace("{name}", file.stem)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # 'x' refuses in one step what exists, so that two at once cannot overwrite each other.
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise UsageError(
            f"{file} exists and stays as it is; choose another name, or run it: twingraph run {file}"
        ) from None
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from None
    if args.json:
        app.print_json({"file": str(file), "target": f"{file}:wf"})
        return COMPLETED
    app.console.say(f"wrote {file}")
    app.console.note(
        [("  run it:       ", "dim"), (f"twingraph run {file}", "")],
        [("  with input:   ", "dim"), (f"twingraph run {file} -i upto=100", "")],
        [("  look at it:   ", "dim"), ("twingraph show last", "")],
        [("  draw it:      ", "dim"), ("twingraph show last --html report.html", "")],
    )
    return COMPLETED


def _file(typed: str) -> Path:
    """`hello`, `hello.py` and `flows/hello` all name a file; its stem must be one that Python can import."""
    path = Path(typed).expanduser()
    stem = path.name.removesuffix(".py")
    if not stem.isidentifier() or keyword.iskeyword(stem):
        better = re.sub(r"\W+", "_", stem).strip("_")
        better = f"flow_{better}" if not better or better[0].isdigit() or keyword.iskeyword(better) else better
        raise UsageError(f"{stem!r} cannot be the name of a Python module; how about: twingraph new {better}")
    return path.with_name(f"{stem}.py")
