# call: run()
from functools import total_ordering


def tagged(tag):
    def inner(cls):
        cls.tag = tag
        return cls

    return inner


@tagged("t")
@total_ordering
class Item:
    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        return self.n == other.n

    def __lt__(self, other):
        return self.n < other.n


def run():
    return Item(1) <= Item(2), Item.tag
