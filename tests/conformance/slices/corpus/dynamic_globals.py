# call: run("two")
# mode: import
two = 2


def run(name):
    return globals()[name]
