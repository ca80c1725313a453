# call: run()
from typing import TypedDict


class Movie(TypedDict, total=False):
    name: str
    year: int


def run() -> Movie:
    return Movie(name="x", year=1), sorted(Movie.__annotations__)
