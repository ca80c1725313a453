# call: run()
STEPS = []


def step(function):
    STEPS.append(function)
    return function


@step
def one():
    return 1


@step
def two():
    return 2


def run():
    return [function() for function in STEPS]
