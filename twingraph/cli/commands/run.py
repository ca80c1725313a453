"""`twingraph run TARGET`: run it, show it, give its result."""

from __future__ import annotations

import argparse
import os
from typing import Any

from twingraph.cli.app import App
from twingraph.cli.attend import attend
from twingraph.cli.background import start_in_background
from twingraph.cli.dispatching import add_dispatch, hand_on
from twingraph.cli.inputs import inputs_of, read_inputs
from twingraph.cli.target import load_target, made_ready, recorded_target
from twingraph.core.errors import ValidationError

EXAMPLE = """twingraph run hello.py
twingraph run flow.py:wf -i day=2026-01-31 -i 'limits={"rows": 10}'
twingraph run flow.py:wf -f inputs.json --json > result.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="path.py, path.py:name or module:name")
    parser.add_argument(
        "-i",
        "--input",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="an input; JSON when it parses, else text",
    )
    parser.add_argument("-f", "--inputs", metavar="FILE", help="a JSON object of inputs; '-' reads stdin")
    parser.add_argument("--no-wait", action="store_true", help="start it in the background and print its id")
    parser.add_argument("--refresh", action="store_true", help="run everything, also what a cache could answer")
    parser.add_argument("--workers", metavar="N", help="most worker processes on this machine (TWINGRAPH_WORKERS)")
    add_dispatch(parser)
    parser.add_argument("--announce", metavar="FD", type=int, help=argparse.SUPPRESS)


def run(args: argparse.Namespace, app: App) -> int:
    inputs = read_inputs(args.input, args.inputs)
    # What the file itself starts while it is loaded belongs to the same home.
    os.environ["TWINGRAPH_HOME"] = str(app.settings.home)
    hand_on(app.settings)
    thing = load_target(args.target)
    compiled = made_ready(thing)
    if args.no_wait:
        return start_in_background(args, inputs, app)
    runtime = app.runtime()
    try:
        try:
            handle = runtime.submit(compiled, inputs, target=recorded_target(args.target, thing), refresh=args.refresh)
        except ValidationError as error:
            raise _with_inputs(error, compiled, args.target) from error
        if args.announce is not None:
            os.write(args.announce, f"{handle.id}\n".encode())
            os.close(args.announce)
        return attend(handle, app, json=args.json)
    finally:
        runtime.close()


def _with_inputs(error: ValidationError, compiled: Any, target: str) -> ValidationError:
    """The same problems, and what the target takes."""
    if all(problem.field == "platform" for problem in error.problems):
        return error  # no input would help
    known = inputs_of(compiled)
    if not known:
        return ValidationError(f"{error}\n{target} takes no inputs")
    return ValidationError(f"{error}\n{target} takes (-i name=value):\n" + "\n".join(f"  {line}" for line in known))
