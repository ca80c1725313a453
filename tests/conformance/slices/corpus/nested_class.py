# call: run()
SIZE = 2


class Outer:
    class Inner:
        size = SIZE

        def grow(self):
            return self.size + SIZE

    kind = Inner


def run():
    return Outer.kind().grow()
