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
from twingraph.cli.errors import UsageError
from twingraph.cli.inputs import read_inputs, read_value
from twingraph.cli.target import current_code
from twingraph.cli.waiting import record_of
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


def run(args: argparse.Namespace, app: App) -> int:
    if args.debug and args.json:
        raise UsageError("--debug talks to this terminal, so there is no document for --json; leave one of them out")
    wish = _wish(args)
    execution_id = app.reader.resolve(args.id)
    record = record_of(execution_id, app)
    if args.debug:
        wish = replace(wish, node=wish.node or _failed_node(record))
    compiled = current_code(record, args.code)
    app, runtime = _debugging(app) if args.debug else (app, app.runtime())
    try:
        handle = runtime.replay(execution_id, wish, compiled=compiled)
        _tell(handle.id, execution_id, wish, app)
        return attend(handle, app, json=args.json)
    finally:
        runtime.close()


def _wish(args: argparse.Namespace) -> Wish:
    alone = {"--from": args.start, "--failed": args.failed, "--output": args.output}
    beside = [flag for flag, given in alone.items() if given]
    if beside and (args.node or args.debug):
        flag = "--node" if args.node else "--debug"
        raise UsageError(f"{flag} runs one node alone, which {beside[0]} does not go with; leave one of them out")
    return Wish(
        start=tuple(args.start),
        failed=args.failed,
        node=args.node,
        inputs=read_inputs(args.input, None),
        outputs=_outputs(args.output),
    )


def _outputs(pairs: Sequence[str]) -> dict[str, Any]:
    """A node's id may hold `=` in the key of an item: there it ends with a bracket."""
    found: dict[str, Any] = {}
    for pair in pairs:
        head, bracket, tail = pair.partition("]=")
        node, equals, text = (head + "]", "=", tail) if bracket and "[" in head else pair.partition("=")
        node = node.strip()
        if not equals or not node:
            raise UsageError(f"--output {pair}: give NODE=VALUE")
        if node in found:
            raise UsageError(f"--output {pair}: {node!r} is given twice")
        found[node] = read_value(text)
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


def _tell(new: str, old: str, wish: Wish, app: App) -> None:
    what = f"{wish.node} of {old}" if wish.node is not None else old
    app.console.note([("replay ", "dim"), (f"{what} ", ""), (f"as {new}", "dim")])
