# call: run(0)
class CaseError(ValueError):
    def __init__(self, code):
        super().__init__(f"code {code}")
        self.code = code


ERRORS = (CaseError, KeyError)


def run(n):
    try:
        raise CaseError(n)
    except ERRORS as error:
        return error.code, str(error)
