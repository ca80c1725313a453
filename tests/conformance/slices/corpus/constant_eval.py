# call: run()
SECRET = 12


def run():
    return eval("SECRET + 1")
