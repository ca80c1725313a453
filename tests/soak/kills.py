"""The long proof of recovery: `python -m tests.soak.kills --kills 200 [--seed N]`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.support.crash.lives import lives


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        points = lives(Path(folder), given.seed, given.kills)
    for point, count in points.most_common():
        print(f"{count:5} {point}")
    print(f"{points.total():5} kills; everything finished, nothing finished ran again")


if __name__ == "__main__":
    main()
