# call: run()
a = b = c = [1]
b.append(2)


def run():
    return a, c is a
