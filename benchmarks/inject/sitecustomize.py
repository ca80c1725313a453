"""Found by every Python that a profiled run starts, so that the pool's workers and their forks are profiled too."""

import os
from pathlib import Path

from benchmarks import counter, sampler


def start() -> None:
    folder = Path(os.environ["BENCHMARK_PROFILE"])
    (counter.start if "BENCHMARK_EXACT" in os.environ else sampler.start)(folder)


if "BENCHMARK_PROFILE" in os.environ:
    start()
    os.register_at_fork(after_in_child=start)
