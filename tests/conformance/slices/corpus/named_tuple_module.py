# call: run()
from collections import namedtuple
from typing import NamedTuple

Pair = namedtuple("Pair", "a b")


class Triple(NamedTuple):
    a: int
    b: int
    c: int = 3


def run():
    return Pair(1, 2), Triple(1, 2)
