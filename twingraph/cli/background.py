"""`run --no-wait`: a process of its own goes on with the run after this one has printed its id."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from twingraph.cli.app import App
from twingraph.cli.errors import COMPLETED
from twingraph.core.wire import execution_to_wire

Command = Callable[[argparse.Namespace, App, int], Sequence[str]]


def start_in_background(
    args: argparse.Namespace, inputs: dict[str, Any], app: App, command: Command | None = None
) -> int:
    """Start the same run detached; returns once its execution is recorded, or with the code it failed with."""
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as inputs_file, tempfile.TemporaryFile() as words:
        inputs_file.write(json.dumps(inputs).encode())
        inputs_file.seek(0)
        process = subprocess.Popen(
            (command or _command)(args, app, writing),
            stdin=inputs_file,
            stdout=subprocess.DEVNULL,
            stderr=words,
            pass_fds=(writing,),
            start_new_session=True,
            env={**os.environ, "TWINGRAPH_PROGRESS": "off"},
        )
        os.close(writing)
        with os.fdopen(reading) as pipe:
            execution_id = pipe.readline().strip()
        if not execution_id:
            code = process.wait()
            words.seek(0)
            app.console.note(words.read().decode(errors="replace").rstrip())
            return code
    # The run outlives this process on purpose; without this, leaving would warn of a child not waited for.
    process.returncode = 0
    if args.json:
        app.print_json(execution_to_wire(app.reader.view(execution_id).record))
    else:
        app.console.say(execution_id)
        app.console.note(f"  watch it: twingraph logs {execution_id} -f")
    return COMPLETED


def _command(args: argparse.Namespace, app: App, writing: int) -> Sequence[str]:
    command = [sys.executable, "-m", "twingraph", "run", args.target, "-f", "-"]
    command += ["--home", str(app.settings.home), "--announce", str(writing)]
    if args.refresh:
        command.append("--refresh")
    if args.workers:
        command += ["--workers", str(args.workers)]
    return command
