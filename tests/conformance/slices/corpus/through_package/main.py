# call: run()
# drops: DROPPED
import through_package.api
import through_package.api as z
from through_package import api


def run():
    return through_package.api.value(), z.CONSTANT, api.helper()
