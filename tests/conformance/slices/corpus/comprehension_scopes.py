# call: run()
n = 5
pairs = [(n, m) for n in range(2) for m in range(n + 1)]
gen = sum(n for n in range(n))


def run():
    return n, pairs, gen, {k: v for k, v in zip("ab", pairs)}
