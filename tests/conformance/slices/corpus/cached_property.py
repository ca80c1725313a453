# call: run()
from functools import cached_property


class Slow:
    calls = 0

    @cached_property
    def value(self) -> int:
        Slow.calls += 1
        return 9


def run():
    slow = Slow()
    return slow.value, slow.value, Slow.calls
