# call: run(3.14159)
WIDTH = 8
UNIT = "m"


def run(n):
    return f"{n:>{WIDTH}.2f}{UNIT!r}" f"{n=:.1f} {{}}"
