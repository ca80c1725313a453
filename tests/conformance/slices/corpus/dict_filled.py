# call: run("b")
table = {}
for key, value in [("a", 1), ("b", 2)]:
    table[key] = value
table.update(c=3)
table.setdefault("d", 4)


def run(key):
    return table[key], sorted(table)
