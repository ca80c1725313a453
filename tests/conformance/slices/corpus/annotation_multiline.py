# call: run(2)
from typing import Dict, Optional, Tuple


def run(
    n: Optional[
        int
    ],
    m: "Dict[str, int]" = None,  # a comment: with -> marks
) -> Tuple[
    int,
    "str",
]:  # another: one
    return n, m
