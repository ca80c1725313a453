# call: run()
import logging

log = logging.getLogger("slice_case")
log.setLevel(logging.DEBUG)


class Keep(logging.Handler):
    def __init__(self):
        super().__init__()
        self.kept = []

    def emit(self, record):
        self.kept.append(record.getMessage())


keeper = Keep()
log.addHandler(keeper)


def run():
    log.info("hello %s", "you")
    return keeper.kept
