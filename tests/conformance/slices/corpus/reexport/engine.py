from .parts import WHEELS


class Engine:
    name = "e"


def start(n):
    return n * WHEELS
