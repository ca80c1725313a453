FACTOR = 3


def scale(n):
    return n * FACTOR
