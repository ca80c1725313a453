VALUE = "left"


def helper():
    return VALUE
