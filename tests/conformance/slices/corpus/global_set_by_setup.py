# call: run()
value = None


def setup():
    global value
    value = 42


setup()


def run():
    return value
