"""`twingraph status`: which workers there are, how long their queues are, and what runs where."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from twingraph.cli.app import App
from twingraph.cli.console import Line
from twingraph.cli.dispatching import add_broker
from twingraph.cli.errors import COMPLETED
from twingraph.cli.words import printable
from twingraph.dispatch.served import has_another_key, refused, unserved

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
    workers = found["workers"]
    queues = {*found["unserved"], *(queue for worker in workers for queue in worker["queues"])}
    for queue in sorted(queues):
        if (why := unserved(queue, workers) or refused(queue, workers)) is not None:
            app.console.note(printable(why))
    if not workers and not queues:
        app.console.note("no worker answers; start one: twingraph worker")
    return COMPLETED


def _lines(workers: list[dict[str, Any]], queues: dict[str, int]) -> Iterator[Line]:
    for name, depth in sorted(queues.items()):
        yield [("queue  ", "dim"), (printable(name), "bold"), (f"  {depth} waiting", "")]
    for worker in workers:
        state = "ends" if worker["draining"] else "serves"
        held = f"{worker['runs']} held in {worker['lanes']} lanes, {worker['ran']} done"
        if worker.get("bodies"):
            held += f", bodies in {worker['bodies']} processes"
        served = printable(", ".join(worker["queues"]))
        if has_another_key(worker):
            held += ", has another key"
        yield [("worker ", "dim"), (printable(worker["worker"]), "bold"), (f"  {state} {served}  {held}", "")]
        for execution, node in worker["running"]:
            yield [("         runs ", "dim"), (f"{printable(execution)} {printable(node)}", "")]
