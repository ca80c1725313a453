# call: run()
LIMIT = 7
NAMES = ("a", "b")


def run(limit=LIMIT, *, names=NAMES):
    return limit, names
