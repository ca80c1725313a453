# call: run(1)
# python: 3.8
def modern(value):
    match value:
        case _:
            return 1


def run(n):
    return n + 1
