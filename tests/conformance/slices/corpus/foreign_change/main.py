# call: run()
from foreign_change import config

config.table["main"] = 1
config.level = 7


def run():
    return config.table, config.read()
