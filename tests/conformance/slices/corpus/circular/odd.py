import circular.even


def is_odd(n):
    return n != 0 and circular.even.is_even(n - 1)
