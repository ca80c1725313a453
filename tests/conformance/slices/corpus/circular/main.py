# call: run(5)
from circular import even


def run(n):
    return even.is_even(n)
