# call: run("n + n")
# mode: import
n = 4


def run(text):
    return eval(text)
