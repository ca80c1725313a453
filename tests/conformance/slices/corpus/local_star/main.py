# call: run()
# mode: import
from local_star.all import *


def run():
    return one
