# call: run()
def counter():
    count = 0

    def step():
        nonlocal count
        count += 1
        return count

    return step


def run():
    step = counter()
    return step(), step(), step()
