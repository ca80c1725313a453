# call: run()
from contextlib import contextmanager

events = []


@contextmanager
def noted(name):
    events.append("in " + name)
    try:
        yield name
    finally:
        events.append("out " + name)


def run():
    with noted("a") as a, noted("b"):
        events.append(a)
    return events
