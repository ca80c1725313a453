# call: run()
total = 1
total += 4
total *= 3
mask = {1}
mask |= {2}


def run():
    return total, sorted(mask)
