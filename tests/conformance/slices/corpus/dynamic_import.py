# call: run("json")
# mode: import
import importlib


def run(name):
    return importlib.import_module(name).dumps([1])
