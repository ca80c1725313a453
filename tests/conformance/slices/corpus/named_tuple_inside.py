# call: run(2)
from typing import NamedTuple


def run(n: int) -> NamedTuple:
    class Out(NamedTuple):
        a: int
        b: str = "x"

    return tuple(Out(n)), Out._fields
