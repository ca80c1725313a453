# call: run()
# python: 3.11
def run():
    found = []
    try:
        raise ExceptionGroup("many", [ValueError(1), TypeError(2)])
    except* ValueError as group:
        found.append(len(group.exceptions))
    except* TypeError:
        found.append("type")
    return found
