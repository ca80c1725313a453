# call: run()
temporary = [1, 2]
total = sum(temporary)
del temporary


def run():
    return total
