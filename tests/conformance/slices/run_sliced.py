"""Run as a process on the oldest Python that a batch of cases allows: loads each bundle and makes the calls."""

# mypy: ignore-errors
import asyncio
import importlib.util
import inspect
import json
import sys
import traceback


def shown(value):
    if inspect.iscoroutine(value):
        value = asyncio.run(value)
    return repr(value)


def main(loader_file, cases):
    spec = importlib.util.spec_from_file_location("slice_loader", loader_file)
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
    answers = {}
    for case, request in cases.items():
        try:
            target = loader.load(request["bundle"]).get("entry")
            answers[case] = [shown(eval(call, {request["target"]: target})) for call in request["calls"]]
        except BaseException:
            answers[case] = traceback.format_exc()
    return answers


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], json.load(sys.stdin))))
