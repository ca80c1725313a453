"""One process with a conductor: `python -m tests.support.conductors.member`.

Says `ready`, reads `key` from stdin, starts the execution of that key and says `key id` once it is recorded. Goes on
with what others left. Ends when its stdin ends, and when its conductor cannot go on, as a server would to be started
again.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from tests.support.conductors.flows import drawn, driven
from twingraph.sdk.prepared import prepare
from twingraph.settings import load
from twingraph.wiring.running import Runtime

ORIGIN = "server"


def main(effects: str, seconds: float) -> None:
    runtime = Runtime(load(), adopts=[ORIGIN])
    threading.Thread(target=_end_with, args=(runtime,), daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        key = int(line)
        given = {"key": key, "effects": effects, "seconds": seconds}
        if key % 10:
            handle = runtime.submit(drawn(effects, seconds, key).compile(), {}, origin=ORIGIN, target=str(key))
        else:
            handle = runtime.submit(prepare(driven), given, origin=ORIGIN, target=str(key))
        handle.wait_recorded()
        print(key, handle.id, flush=True)
    runtime.close()


def _end_with(runtime: Runtime) -> None:
    while runtime.conductor.usable:
        time.sleep(0.05)
    os._exit(3)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
