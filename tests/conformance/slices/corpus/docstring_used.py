# call: run()
def documented():
    """Says something."""


def run():
    return documented.__doc__
