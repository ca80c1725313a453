REGISTRY = {}


def register(function):
    REGISTRY[function.__name__] = function
    return function


class Plugin:
    kinds = []

    def __init_subclass__(cls):
        Plugin.kinds.append(cls)
