# call: run([1, 2, 3])
if (size := len("abc")) > 2:
    label = "long"
found = [last := n for n in (1, 2, 3)]


def run(values):
    if (n := len(values)) > size - 1:
        return n, label, last
