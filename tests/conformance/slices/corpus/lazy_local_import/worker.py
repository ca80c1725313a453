NAME = "w"


def work():
    from .deeper import depth

    return depth
