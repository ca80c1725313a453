# call: run()
items = [3, 1, 2]
log = []


def prepare(values):
    values.sort()


def note(text):
    log.append(text)


prepare(items)
note("ready")


def run():
    return items, log
