# call: run("b")
from whole_module import options


def run(name):
    return getattr(options, name), sorted(n for n in vars(options) if n.islower())
