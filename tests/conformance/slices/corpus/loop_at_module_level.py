# call: run()
squares = []
n = 0
while n < 4:
    squares.append(n * n)
    n += 1


def run():
    return squares
