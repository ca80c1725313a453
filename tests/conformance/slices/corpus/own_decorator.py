# call: run(4)
import functools


def doubled(function):
    @functools.wraps(function)
    def inner(*args):
        return 2 * function(*args)

    return inner


@doubled
def run(n):
    return n + 1
