# call: run()
import importlib


def run():
    return importlib.import_module("dynamic_constant_import.other").answer()
