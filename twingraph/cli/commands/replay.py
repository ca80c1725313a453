"""`twingraph replay ID`: run what has ended, or a part of it, again, as it was or otherwise."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twingraph.cli.app import App
from twingraph.cli.attend import attend
from twingraph.cli.backend import Runtime
from twingraph.cli.dispatching import add_dispatch
from twingraph.cli.errors import UsageError
from twingraph.cli.inputs import named, read_inputs, read_value
from twingraph.cli.target import current_code
from twingraph.cli.waiting import record_of
from twingraph.cli.words import printable
from twingraph.core.execution import ExecutionRecord
from twingraph.core.wishes import Wish

EXAMPLE = """twingraph replay last                                  # all of it, with the inputs that it had
twingraph replay last --from clean                     # this node and what follows; the rest is kept
twingraph replay last --from 'squares[2]' --code current
twingraph replay last --failed                         # what failed, and what follows from it
twingraph replay last -i day=2026-01-31                # what takes this input, and what follows
twingraph replay last --output 'clean={"rows": 10}'    # as if it had given this
twingraph replay last --node clean                     # this node alone
twingraph replay last --node clean --debug             # the same in this terminal, under pdb"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="an execution that has ended, or 'last'")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="NODE",
        action="append",
        default=[],
        help="run this node and all that follows from it; keep the rest (may be repeated)",
    )
    parser.add_argument("--failed", action="store_true", help="the same for every node that failed")
    parser.add_argument("--node", metavar="NODE", help="run this node alone, with the inputs that it had")
    parser.add_argument(
        "-i",
        "--input",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="another value for an input, with --node for one of the node; JSON when it parses, else text",
    )
    parser.add_argument(
        "--output",
        metavar="NODE=VALUE",
        action="append",
        default=[],
        help="do not run this node: it gave this value (JSON when it parses, else text; may be repeated)",
    )
    parser.add_argument(
        "--code",
        choices=("recorded", "current"),
        default="recorded",
        help="the code that it ran on, or the file as it is now (recorded)",
    )
    parser.add_argument(
        "--debug", action="store_true", help="run one node here: breakpoint() works, and pdb opens where it fails"
    )
    parser.add_argument("--workers", metavar="N", help="most worker processes on this machine (TWINGRAPH_WORKERS)")
    add_dispatch(parser)


def run(args: argparse.Namespace, app: App) -> int:
    if args.debug and args.json:
        raise UsageError("--debug talks to this terminal, so there is no document for --json; leave one of them out")
    execution_id = app.reader.resolve(args.id)
    record = record_of(execution_id, app)
    wish = _wish(args, record)
    compiled = current_code(record, args.code)
    app, runtime = _debugging(app) if args.debug else (app, app.runtime())
    try:
        if args.debug:  # before it begins: what it prints, and the debugger, come from this very process
            _tell("in this process", execution_id, wish, app)
        handle = runtime.replay(execution_id, wish, compiled=compiled)
        if not args.debug:
            _tell(f"as {handle.id}", execution_id, wish, app)
        return attend(handle, app, json=args.json)
    finally:
        runtime.close()


def _wish(args: argparse.Namespace, record: ExecutionRecord) -> Wish:
    node = args.node or (_failed_node(record) if args.debug else None)
    wish = Wish(
        start=tuple(args.start),
        failed=args.failed,
        node=node,
        inputs=read_inputs(args.input, None),
        outputs=_outputs(args.output),
    )
    wish.check()
    return wish


def _outputs(pairs: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        node, text = named(pair, item=True)
        if not node or text is None:
            raise UsageError(f"--output {pair}: give NODE=VALUE")
        value = read_value(text)
        if node.endswith("]") and "]=" in text and value is text and not pair.lstrip().startswith('"'):
            raise UsageError(
                f"--output {pair}: where does the name of the node end? Put it in double quotes, as in "
                f"""--output '"{node}"={text}'"""
            )
        if node in found:
            raise UsageError(f"--output {pair}: {node!r} is given twice")
        found[node] = value
    return found


def _failed_node(record: ExecutionRecord) -> str:
    if record.error is None or record.error.node_id is None:
        raise UsageError(f"--debug runs one node: say which with --node (twingraph show {record.id} lists them)")
    return record.error.node_id


def _debugging(app: App) -> tuple[App, Runtime]:
    """Nothing is drawn over what the debugger says."""
    if sys.stdin is None or sys.stdin.closed:
        raise UsageError("--debug needs a terminal to talk to")
    app = App(console=app.console, settings=replace(app.settings, inline=True, progress="off"), backend=app.backend)
    return app, app.backend.debugging(app.settings)


def _tell(how: str, execution: str, wish: Wish, app: App) -> None:
    what = f"{printable(wish.node)} of {execution}" if wish.node is not None else execution
    app.console.note([("replay ", "dim"), (f"{what} ", ""), (how, "dim")])
