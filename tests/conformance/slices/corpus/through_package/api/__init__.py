from .impl import helper, value

CONSTANT = 5
DROPPED = 6
