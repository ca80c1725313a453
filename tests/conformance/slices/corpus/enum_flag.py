# call: run()
from enum import IntFlag, auto


class Mode(IntFlag):
    READ = auto()
    WRITE = auto()


BOTH = Mode.READ | Mode.WRITE


def run():
    return int(BOTH), Mode.READ in BOTH
