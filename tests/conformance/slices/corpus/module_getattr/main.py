# call: run()
from module_getattr import lazy


def run():
    return lazy.anything, lazy.known
