"""`twingraph worker`: carry nodes out that conductors send through a broker."""

from __future__ import annotations

import argparse

from twingraph.cli.app import App
from twingraph.cli.dispatching import add_broker
from twingraph.cli.errors import UsageError

EXAMPLE = """twingraph worker --broker redis://127.0.0.1:6379/0
twingraph worker --concurrency 4 --queues default,gpu
celery -A twingraph.dispatch.celery worker -Q twingraph.default     # the same"""

# Flags that are settings by another name.
CALLED = {"workers": "--concurrency"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_broker(parser)
    parser.add_argument(
        "--concurrency", dest="workers", metavar="N", help="most processes that run nodes (TWINGRAPH_WORKERS)"
    )
    parser.add_argument(
        "--lanes", metavar="N", help="most lanes that it holds, each up to 64 nodes one after another (TWINGRAPH_LANES)"
    )
    parser.add_argument(
        "--bodies",
        metavar="N",
        help="most processes that run bodies of pipelines, each of one conductor and code; 0: none (TWINGRAPH_BODIES)",
    )
    parser.add_argument(
        "--max-nodes-per-process", metavar="N", help="replace a process that has run so many nodes, between two (10000)"
    )
    parser.add_argument(
        "--max-memory-per-process", metavar="SIZE", help="replace one that holds more after a node: 512Mi, 2G (1Gi)"
    )
    parser.add_argument(
        "--max-memory", metavar="SIZE", help="begin nothing for which all processes together would need more"
    )
    parser.add_argument(
        "--queues", metavar="A,B", default="default", help="the queues that it serves: a component's label 'queue'"
    )


def run(args: argparse.Namespace, app: App) -> int:
    queues = [name.strip() for name in str(args.queues).split(",") if name.strip()]
    if not queues:
        raise UsageError("--queues names no queue; leave it out for 'default'")
    return app.backend.work(app.settings, queues, app.console.note)
