# call: run()
from module_state import state


def run():
    state.count += 1
    state.bump()
    return state.count
