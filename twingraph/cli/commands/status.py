"""`twingraph status`: which workers there are, how long their queues are, and what runs where."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from typing import Any

from twingraph.cli.app import App
from twingraph.cli.console import Line
from twingraph.cli.dispatching import add_broker
from twingraph.cli.errors import COMPLETED
from twingraph.cli.words import printable

EXAMPLE = """twingraph status
twingraph status --broker redis://127.0.0.1:6379/0 --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_broker(parser)


def run(args: argparse.Namespace, app: App) -> int:
    found = app.backend.workers(app.settings)
    if args.json:
        app.print_json(found)
        return COMPLETED
    app.console.say(*_lines(found["workers"], found["queues"]))
    for queue in found["unserved"]:
        name = printable(queue)
        app.console.note(f"no worker serves the queue {name}; start one: twingraph worker --queues {shlex.quote(name)}")
    if not found["workers"] and not found["unserved"]:
        app.console.note("no worker answers; start one: twingraph worker")
    return COMPLETED


def _lines(workers: list[dict[str, Any]], queues: dict[str, int]) -> Iterator[Line]:
    for name, depth in sorted(queues.items()):
        yield [("queue  ", "dim"), (printable(name), "bold"), (f"  {depth} waiting", "")]
    for worker in workers:
        state = "ends" if worker["draining"] else "serves"
        held = f"{worker['runs']} held in {worker['lanes']} lanes, {worker['ran']} done"
        served = printable(", ".join(worker["queues"]))
        yield [("worker ", "dim"), (printable(worker["worker"]), "bold"), (f"  {state} {served}  {held}", "")]
        for execution, node in worker["running"]:
            yield [("         runs ", "dim"), (f"{printable(execution)} {printable(node)}", "")]
