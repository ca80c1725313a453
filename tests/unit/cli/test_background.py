"""`run --no-wait`: the id comes from the process that goes on; its failure is ours."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.unit.cli.double import MemoryBackend, MemoryReader, failed_tour, make_console, written
from twingraph.cli.app import App
from twingraph.cli.background import start_in_background
from twingraph.settings import Settings

ARGS = argparse.Namespace(target="flow.py", refresh=False, workers=None, json=False)


def start(folder: Path, script: str) -> tuple[int, str, str]:
    def command(args: argparse.Namespace, app: App, writing: int) -> Sequence[str]:
        return [sys.executable, "-c", script, str(writing)]

    console = make_console()
    backend = MemoryBackend(reader=MemoryReader(views=[failed_tour()]))
    app = App(console=console, settings=Settings(home=folder), backend=backend)
    code = start_in_background(ARGS, {"a": [1]}, app, command)
    return code, written(console.out), written(console.err)


def test_the_id_is_printed_once_it_is_known(tmp_path: Path) -> None:
    seen = tmp_path / "seen.json"
    script = (
        f"import os, sys; open({str(seen)!r}, 'w').write(sys.stdin.read()); os.write(int(sys.argv[1]), b'exec-1\\n')"
    )
    code, out, _ = start(tmp_path, script)
    assert (code, out) == (0, "exec-1\n")
    assert json.loads(seen.read_text()) == {"a": [1]}


def test_a_start_that_fails_is_told_with_its_own_words_and_code(tmp_path: Path) -> None:
    code, out, err = start(tmp_path, "import sys; print('no such input', file=sys.stderr); sys.exit(2)")
    assert (code, out, err) == (2, "", "no such input\n")
