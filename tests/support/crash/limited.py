"""Nodes of which only so many may be at work at once, whoever runs them. Each leaves a line when it begins and ends."""

import os
import time
from pathlib import Path

from twingraph import Workflow, component

MARKS = Path(os.environ["MARKS"])


@component(limits={"licence": 2})
def work(n: int) -> int:
    mark = f"{os.environ['WHO']} {n}-{os.getpid()}"
    with MARKS.open("a") as marks:
        marks.write(f"{time.monotonic()} begin {mark}\n")
    hold = MARKS.with_name(f"hold-{os.environ['WHO']}")
    time.sleep(0.02)
    while hold.exists():
        time.sleep(0.01)
    with MARKS.open("a") as marks:
        marks.write(f"{time.monotonic()} end {mark}\n")
    return n


@component
def numbers(count: int) -> list[int]:
    return list(range(count))


flow = Workflow("limited")
flow.add_component("numbers", numbers)
flow.add_map("all", component=work, over="n")
flow.connect("numbers", "all")
