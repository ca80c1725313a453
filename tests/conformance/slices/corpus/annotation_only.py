# call: run(2)
# drops: class Heavy
class Heavy:
    pass


count: "int" = 3


def run(n: Heavy, *rest: Heavy, flag: "Heavy" = None, **more: Heavy) -> Heavy:
    local: Heavy = n * count
    return local
