# call: run()
# drops: other.append
names = ["a"]
other = []
names.append("b")
other.append("x")
names += ["c"]
names[0] = "z"
names.extend(["d", "e"])
del names[-1]


def run():
    return names
