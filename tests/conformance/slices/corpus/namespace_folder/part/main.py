# call: run()
from namespace_folder.part.other import value


def run():
    return value
