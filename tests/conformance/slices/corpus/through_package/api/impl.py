def value():
    return "v"


def helper():
    return "h"
