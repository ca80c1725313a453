VALUE = "right"


def helper():
    return VALUE * 2
