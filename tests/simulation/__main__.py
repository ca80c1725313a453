"""`python -m tests.simulation SEED` plays one history of a whole system again and tells its story; without a seed it
lives many (`--seeds N --first N`). `--kernel` does the same with the kernel alone."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.promises import Broken
from tests.simulation.system.world import System
from tests.simulation.world import World


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?")
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kernel", action="store_true")
    parser.add_argument("--about", help="tell only the lines with this in them")
    options = parser.parse_args()
    if options.seed is not None:
        return _one_of_the_kernel(options.seed) if options.kernel else _one(options.seed, options.about or "")
    broken = 0
    for seed in range(options.first, options.first + options.seeds):
        try:
            (World(seed) if options.kernel else System(seed)).live()
        except Broken as error:
            broken += 1
            print(f"{error}\n", file=sys.stderr)
            if broken == 5:
                break
    print(f"{options.seeds} seeds, {broken} broken")
    return 1 if broken else 0


def _one(seed: int, about: str) -> int:
    system = System(seed)
    try:
        system.live()
    except Broken as error:
        _tell(system.told(), about)
        print(f"seed {seed}: {error.args[0].partition(chr(10))[0]}")
        return 1
    _tell(system.told(), about)
    ends = [f"{known.id} {known.shadow.status} after {known.seq} events" for known in system.store.by_id.values()]
    print(f"seed {seed}: {', '.join(ends)}")
    return 0


def _tell(story: str, about: str) -> None:
    print("\n".join(line for line in story.split("\n") if about in line))


def _one_of_the_kernel(seed: int) -> int:
    world = World(seed)
    try:
        world.live()
    except Broken as error:
        print("\n".join(world.story))
        print(str(error).partition("\n")[0])
        return 1
    print("\n".join(world.story))
    print(f"seed {seed} ended {world.state.status} after {len(world.journal)} events")
    return 0


if __name__ == "__main__":
    sys.exit(main())
