# call: run(1, 2, c=3)
def run(a, /, b, *, c):
    return a, b, c
