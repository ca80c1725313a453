# call: run()
import io

with io.StringIO("one\ntwo") as handle:
    lines = handle.read().split()


def run():
    return lines
