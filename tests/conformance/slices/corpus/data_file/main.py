# call: run()
import os.path

HERE = os.path.dirname(__file__)
with open(os.path.join(HERE, "numbers.txt")) as handle:
    NUMBERS = [int(line) for line in handle]


def run():
    return NUMBERS, os.path.basename(__file__)
