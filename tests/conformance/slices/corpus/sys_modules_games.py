# call: run()
# mode: import
import sys


def run():
    return sys.modules[__name__].__name__
