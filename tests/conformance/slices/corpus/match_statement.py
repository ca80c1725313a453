# call: run({"kind": "move", "to": [1, 2, 3]})
# python: 3.10
def run(event):
    match event:
        case {"kind": "move", "to": [x, *rest], **others}:
            return x, rest, others
        case str() as text:
            return text
        case _:
            return None
