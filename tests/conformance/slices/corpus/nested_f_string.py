# call: run({"a": 1})
# python: 3.12
def run(values):
    return f"{values["a"]} {"\n".join(["x", "y"])}"
