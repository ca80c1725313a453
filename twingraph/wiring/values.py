"""Values between this process and the store, and the classes that they are made of."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twingraph.core import codec
from twingraph.core.inputs import bind_inputs
from twingraph.store.blobs.base import BlobStore

if TYPE_CHECKING:
    from twingraph.engine.replay import Earlier
    from twingraph.sdk.prepared import CompiledPipeline
    from twingraph.sdk.workflow_builder import CompiledWorkflow

Given = tuple[dict[str, str], dict[str, Any]]  # the inputs' texts, and what is to be shipped


class ProcessValues:
    """How this process writes and reads values."""

    def __init__(self, blobs: BlobStore, secret: bytes) -> None:
        self.how: Mapping[str, Any] = {"blobs": blobs, "pickle": True, "key": secret}

    def decode(self, text: str) -> Any:
        """A stored value as a Python value of this process."""
        return codec.decode(text, classes=_class_of, **self.how)

    def decode_exception(self, text: str) -> Mapping[str, Any]:
        """The arguments and attributes of an exception, as far as they can be built here."""
        try:
            return dict(self.decode(text))
        except Exception:  # a class in it may be gone: the error's description has to do
            return {}

    def of_workflow(self, compiled: CompiledWorkflow, inputs: Mapping[str, Any]) -> Given:
        """The inputs' texts, and what is to be shipped: the components, and the classes of these values."""
        from twingraph.sdk.value_classes import ValueClasses

        classes = ValueClasses(dict(compiled.objects))

        def encode(value: Any) -> str:
            return classes.encode(value, path="inputs", **self.how).text

        return bind_inputs(compiled.plan, inputs, encode, compiled.checks), classes.found

    def of_pipeline(self, compiled: CompiledPipeline, inputs: Mapping[str, Any], old: Earlier | None) -> Given:
        """The inputs' texts, and what is to be shipped."""
        from twingraph.sdk.value_classes import ValueClasses

        classes = ValueClasses(dict(compiled.objects))
        if old is not None:
            texts = {name: text for name, text in old.inputs.items() if compiled.takes(name)}
            compiled.check_names(old.inputs)
            for text in texts.values():
                classes.take(text)
        else:
            compiled.check(inputs)
            texts = {
                name: classes.encode(value, path=f"inputs.{name}", **self.how).text for name, value in inputs.items()
            }
        return texts, classes.found

    def of_calls(
        self, objects: Mapping[str, Any], calls: Mapping[str, tuple[Any, Mapping[str, Any]]]
    ) -> tuple[dict[str, dict[str, str]], dict[str, Any]]:
        """The arguments' texts of each call, and what is to be shipped."""
        from twingraph.sdk.value_classes import ValueClasses

        classes = ValueClasses(dict(objects))
        texts = {
            node: {name: classes.encode(value, path=name, **self.how).text for name, value in given.items()}
            for node, (_, given) in calls.items()
        }
        return texts, classes.found


def with_classes(compiled: CompiledWorkflow, old: Earlier) -> dict[str, Any]:
    from twingraph.sdk.value_classes import ValueClasses

    classes = ValueClasses(dict(compiled.objects))
    for text in old.inputs.values():
        classes.take(text)
    return classes.found


def _class_of(module: str, name: str) -> Any:
    """Classes of the script itself are recorded under its file's stem; importing that would run the script again."""
    from twingraph.sdk.slicing.sources import shipped_main
    from twingraph.sdk.value_classes import class_named

    found = class_named(module, name)
    if found is None and module not in sys.modules and shipped_main() == module:
        raise LookupError(f"{name} is not in the script")
    return found
