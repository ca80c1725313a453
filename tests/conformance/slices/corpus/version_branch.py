# call: run([3, 4])
import sys

if sys.version_info >= (3, 0):

    def total(values):
        return sum(values)

else:

    def total(values):
        return 0


def run(values):
    return total(values)
