"""The flags that say who carries nodes out."""

from __future__ import annotations

import argparse
import os

from twingraph.settings import Settings


def add_dispatch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dispatch", metavar="D", help="embedded, or celery: workers of a broker (TWINGRAPH_DISPATCH)")
    add_broker(parser)


def add_broker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--broker", dest="broker_url", metavar="URL", help="redis://... or amqp://... (TWINGRAPH_BROKER_URL)"
    )


def hand_on(settings: Settings) -> None:
    """To what this process loads and starts; not as words, which others could read."""
    if settings.dispatch != "embedded":
        os.environ["TWINGRAPH_DISPATCH"] = settings.dispatch
    if settings.broker_url is not None:
        os.environ["TWINGRAPH_BROKER_URL"] = settings.broker_url
