# call: run()
numbers = iter(range(10))
first = next(numbers)


def run():
    return next(numbers)
