# call: run()
original = [1]
alias = original
alias.append(2)
groups = [[], []]
for group in groups:
    group.append("g")


def run():
    return original, groups
