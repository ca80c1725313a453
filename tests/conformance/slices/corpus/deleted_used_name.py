# call: run()
value = 1
del value
value = 2


def run():
    return value
