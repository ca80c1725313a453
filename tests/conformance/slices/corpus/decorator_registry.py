# call: run("b")
REGISTRY = {}


def register(name):
    def inner(function):
        REGISTRY[name] = function
        return function

    return inner


@register("a")
def first():
    return "first"


@register("b")
def second():
    return "second"


def run(name):
    return REGISTRY[name](), sorted(REGISTRY)
