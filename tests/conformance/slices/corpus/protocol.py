# call: run()
from typing import Protocol, runtime_checkable


@runtime_checkable
class Named(Protocol):
    name: str


class Dog:
    name = "rex"


def run():
    return isinstance(Dog(), Named), isinstance(3, Named)
