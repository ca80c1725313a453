# call: run([1, 2])
# drops: raise RuntimeError
def item():
    raise RuntimeError


def values():
    raise RuntimeError


def run(values):
    total = 0
    for item in values:
        total += item
    return total, [total for total in values], (lambda item: item)(3)
