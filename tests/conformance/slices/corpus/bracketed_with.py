# call: run()
# python: 3.9
import io


def run():
    with (
        io.StringIO("a") as first,
        io.StringIO("b") as second,
    ):
        return first.read() + second.read()
