# call: run()
# mode: import
def run():
    space = {}
    exec("x = 1 + 1", space)
    return space["x"]
