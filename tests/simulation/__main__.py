"""`python -m tests.simulation [--seeds N] [--first N] [--seed N]`: many lives, or one with its whole story."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.world import Broken, World


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    if options.seed is not None:
        return _one(options.seed)
    broken = 0
    for seed in range(options.first, options.first + options.seeds):
        try:
            World(seed).live()
        except Broken as error:
            broken += 1
            print(f"seed {seed}: {error}\n", file=sys.stderr)
            if broken == 5:
                break
    print(f"{options.seeds} seeds, {broken} broken")
    return 1 if broken else 0


def _one(seed: int) -> int:
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
