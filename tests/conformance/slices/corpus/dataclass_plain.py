# call: run()
from dataclasses import dataclass, field
from typing import List


@dataclass(frozen=True)
class Point:
    x: int
    y: int = 2
    tags: List[str] = field(default_factory=list)


def run() -> Point:
    return Point(1), Point(1) == Point(1, 2)
