# call: run(3)
def numbers(n):
    for i in range(n):
        yield from (i, -i)


def run(n):
    return list(numbers(n))
