"""`python -m benchmarks.containers`: a node in a container beside a bare `docker run` of the same image.

Each round does all of them in turn, so that what else goes on on the machine meets them alike: `docker run --rm IMAGE
python3 -c pass` by the engine's own command line; the same by its API without any command line (make, attach, start,
listen; removed beside); a cold node of ours from being submitted to its result; and a warm one. The nodes do nothing.
Some rounds that do not count let ours keep what the image's Python compiled, as a home in use has it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import docker

from tools.services.use import use
from twingraph import Workflow, component, wiring
from twingraph.settings import load

BUDGET_MS = 50.0
_WARM_UP = 3


@component
def nothing() -> None:
    return


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.containers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--image", default="python:3.9")
    given = parser.parse_args(arguments)
    with use("docker") as surroundings, tempfile.TemporaryDirectory(prefix="containers-") as home:
        os.environ.update(surroundings)
        ways = _ways(given.image, Path(home), surroundings)
        found: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(given.rounds + _WARM_UP):
            for name, act in ways.items():
                seconds = act()
                if number >= _WARM_UP:
                    found[name].append(seconds * 1000)
                time.sleep(0.3)  # what was started last may be removed meanwhile
    return _told(found, given.image)


def _ways(image: str, home: Path, surroundings: Mapping[str, str]) -> dict[str, Callable[[], float]]:
    runtime = wiring.runtime(settings=load({"home": str(home), "workers": 1}))
    client = docker.APIClient(base_url=surroundings["DOCKER_HOST"], version="auto")

    def ours(config: Mapping[str, object]) -> Callable[[], float]:
        settings = {"platform": "docker", "docker_image": image, "platform_config": config}
        plan = Workflow("benchmark").add_component("n", nothing, **settings).compile()

        def act() -> float:
            begun = time.perf_counter()
            handle = runtime.submit(plan, {})
            assert handle.wait(60)
            took = time.perf_counter() - begun
            assert handle.status == "completed", handle.error
            return took

        return act

    def by_command() -> float:
        command = ["docker", "run", "--rm", image, "python3", "-c", "pass"]
        begun = time.perf_counter()
        subprocess.run(command, check=True, env={**os.environ, **surroundings})
        return time.perf_counter() - begun

    def by_interface() -> float:
        begun = time.perf_counter()
        made = client.create_container(image, ["python3", "-c", "pass"])["Id"]
        socket = client.attach_socket(made, params={"stdout": 1, "stderr": 1, "stream": 1})
        client.start(made)
        socket.read()
        took = time.perf_counter() - begun
        socket.close()
        threading.Thread(target=client.remove_container, args=(made,), kwargs={"force": True}).start()
        return took

    return {"docker run": by_command, "bare by API": by_interface, "ours": ours({}), "ours, warm": ours({"warm": True})}


def _told(found: Mapping[str, Sequence[float]], image: str) -> int:
    bare = found["docker run"]
    rounds = len(bare)
    print(f"{image}, {rounds} rounds, load {os.getloadavg()[0]:.1f}")
    print(f"{'':12} {'median ms':>10} {'least ms':>9} {'beside docker run: median of differences':>42} {'ratio':>6}")
    for name, taken in found.items():
        more = statistics.median(one - other for one, other in zip(taken, bare, strict=True))
        ratio = statistics.median(taken) / statistics.median(bare)
        print(f"{name:12} {statistics.median(taken):10.0f} {min(taken):9.0f} {more:+42.0f} {ratio:6.2f}")
    over = statistics.median(one - other for one, other in zip(found["ours"], bare, strict=True)) > BUDGET_MS
    print(f"budget: {BUDGET_MS:.0f} ms more than docker run" + (", missed" if over else ""))
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
