# call: run()
from functools import singledispatch


@singledispatch
def describe(value):
    return "thing"


@describe.register(int)
def _(value):
    return "int"


@describe.register
def _text(value: str):
    return "text"


describe.register(list, lambda value: "list")


def run():
    return describe(1), describe("a"), describe([]), describe(None)
