# call: run(9)
from math import *


def run(n):
    return sqrt(n), floor(pi)
