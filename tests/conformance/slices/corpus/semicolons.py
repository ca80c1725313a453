# call: run()
a = 1; b = [a]; b.append(2)
def unused(): return 0
def run(): x = b; return x, a
