# call: run("ä")
größe = 3
表 = {"ä": "ae"}


def übersetze(wört: str, ﬁ: int = 2) -> str:
    return 表[wört] * größe + str(ﬁ)


def run(text: str):
    return übersetze(text)
