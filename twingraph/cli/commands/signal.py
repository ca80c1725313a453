"""`twingraph signal ID NAME [VALUE]`: give an execution what it waits for."""

from __future__ import annotations

import argparse

from twingraph.cli.app import App
from twingraph.cli.errors import COMPLETED, UsageError
from twingraph.cli.inputs import read_value
from twingraph.cli.words import printable, value_text
from twingraph.core.codec import encode
from twingraph.core.statuses import NodeStatus

EXAMPLE = """twingraph signal last approved
twingraph signal exec-0jz3m9q2t7k4w1vh approved '{"by": "Ada"}' --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="an execution, or 'last'")
    parser.add_argument("name", metavar="NAME", help="the signal that its pipeline waits for")
    parser.add_argument("value", metavar="VALUE", nargs="?", help="JSON when it parses, else text; nothing is null")


def run(args: argparse.Namespace, app: App) -> int:
    """It is kept until it is waited for, also while the execution stands still."""
    if not args.name.strip():
        raise UsageError("the name of a signal is a text that is not empty")
    value = None if args.value is None else read_value(args.value)
    execution_id = app.reader.resolve(args.id)
    app.reader.send_signal(execution_id, args.name, encode(value).text)
    if args.json:
        app.print_json({"execution_id": execution_id, "signal": args.name, "value": value})
    else:
        with_value = "" if args.value is None else f" with {value_text(value)}"
        app.console.say([("sent ", "green"), (printable(f"{args.name}{with_value} to {execution_id}"), "")])
        _tell_of_others(execution_id, args.name, app)
    return COMPLETED


def _tell_of_others(execution_id: str, sent: str, app: App) -> None:
    """A mistyped name is not an error, as the wait may come later; but whoever sent it wants to know."""
    rows = app.reader.tree(execution_id).rows
    awaited = {row.signal for row in rows if row.signal is not None and row.status is NodeStatus.RUNNING}
    if awaited and sent not in awaited:
        names = ", ".join(sorted(awaited))
        app.console.note(printable(f"  it waits for {names}; {sent} is kept until something waits for that"))
