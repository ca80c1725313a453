# call: run()
import sys


def unused():
    return 1


def run():
    try:
        raise ValueError
    except ValueError:
        return sys.exc_info()[2].tb_lineno, sys._getframe().f_code.co_firstlineno
