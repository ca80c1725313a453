# call: run()
class Slim:
    __slots__ = ("a",)

    def __init__(self):
        self.a = 1


def run():
    try:
        Slim().b = 2
    except AttributeError:
        return "slim"
