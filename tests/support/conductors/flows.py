"""What the conductors run: a drawn workflow and a pipeline whose nodes write down each of their runs."""

from __future__ import annotations

import os
import time

import twingraph
from twingraph import Workflow, component, pipeline


@component
def step(key: int, place: int, effects: str, seconds: float, before: int = 0) -> int:
    descriptor = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{key} {twingraph.current().node_id} {twingraph.current().attempt}\n".encode())
    os.close(descriptor)
    time.sleep(seconds)
    return before + place


def drawn(effects: str, seconds: float, key: int) -> Workflow:
    """Three in a row; the last gives 6."""
    flow = Workflow("drawn")
    given = {"key": key, "effects": effects, "seconds": seconds}
    for place in (1, 2, 3):
        flow.add_component(f"s{place}", step, place=place, **given)
    flow.connect("s1", "s2", input="before")
    flow.connect("s2", "s3", input="before")
    return flow


@pipeline
def driven(key: int, effects: str, seconds: float) -> int:
    first = step(key, 1, effects, seconds)
    both = [step(key, place, effects, seconds) for place in (2, 3)]
    return first + sum(both)
