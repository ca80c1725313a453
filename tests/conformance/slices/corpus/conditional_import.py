# call: run()
try:
    import no_such_module_anywhere as fast
except ImportError:
    fast = None

try:
    import json as codec
except ImportError:
    codec = None


def run():
    return fast is None, codec.dumps({"a": 1})
