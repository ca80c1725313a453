"""About 300 nodes with retries and fan-out, which leave a file for each time that they did their work."""

import os
from pathlib import Path

from twingraph import Workflow, component, current

EFFECTS = Path(os.environ["EFFECTS"])
ONCE_MORE = {"max_attempts": 4, "backoff": "fixed", "initial_delay": 0.01, "jitter": 0}


def effect() -> None:
    """What the world outside sees of a node: one file per time."""
    me = current()
    name = me.node_id.replace("/", "_")
    (EFFECTS / f"{name}!{me.attempt}-{os.getpid()}").touch()


@component
def numbers(count: int) -> list[int]:
    effect()
    return list(range(count))


@component(retry_policy=ONCE_MORE, limits={"service": 3})
def shaky(n: int) -> int:
    failed = EFFECTS.parent / "failed" / f"{n}"
    if n % 7 == 0 and not failed.exists():
        failed.touch()
        raise ConnectionError(f"{n} is down")
    effect()
    return n * 2


@component
def large(n: int) -> bytes:
    effect()
    return bytes([n % 256]) * 100_000


@component
def size(blob: bytes) -> int:
    effect()
    return len(blob)


@component
def total(doubled: list[int], sizes: list[int]) -> int:
    effect()
    return sum(doubled) + sum(sizes)


each_large = Workflow("each-large")
each_large.add_component("make", large)
each_large.add_component("measure", size)
each_large.connect("make", "measure")

flow = Workflow("kills")
flow.add_component("numbers", numbers)
flow.add_component("few", numbers, count=45)
flow.add_map("doubled", component=shaky, over="n")
flow.add_map("sizes", workflow=each_large, over="n")
flow.add_component("total", total)
flow.connect("numbers", "doubled")
flow.connect("few", "sizes")
flow.connect("doubled", "total", input="doubled")
flow.connect("sizes", "total", input="sizes")
