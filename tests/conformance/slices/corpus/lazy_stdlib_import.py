# call: run()
def run():
    import json as j
    from collections import OrderedDict

    return j.dumps(OrderedDict(a=1))
