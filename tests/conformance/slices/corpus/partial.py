# call: run(3)
from functools import partial


def power(base, exponent):
    return base**exponent


square = partial(power, exponent=2)


def run(n):
    return square(n)
