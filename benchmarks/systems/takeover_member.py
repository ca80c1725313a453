"""A process with a conductor for `benchmarks.takeover`: `python -m benchmarks.systems.takeover_member ORIGIN`.

Reads how many executions it is to begin, says the id of each, and goes on with what others of its origin left.
"""

from __future__ import annotations

import sys
import time

from twingraph import Workflow, component
from twingraph.settings import load
from twingraph.wiring.running import Runtime

NODES = 1_000
NODE_SECONDS = 0.1


@component
def step(x: int) -> int:
    time.sleep(NODE_SECONDS)
    return x + 1


flow = Workflow("steps").add_component("n0", step, x=0)
for number in range(1, NODES):
    flow.add_component(f"n{number}", step).connect(f"n{number - 1}", f"n{number}")


def main(origin: str) -> None:
    runtime = Runtime(load(), adopts=[origin])
    compiled = flow.compile()
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            handle = runtime.submit(compiled, {}, origin=origin, target="steps")
            handle.wait_recorded()
            print(handle.id, flush=True)
    runtime.close()


if __name__ == "__main__":
    main(sys.argv[1])
