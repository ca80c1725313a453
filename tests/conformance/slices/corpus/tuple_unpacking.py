# call: run()
first, (second, *rest) = 1, (2, 3, 4)
[x, y] = "ab"


def run():
    return first, second, rest, x + y
