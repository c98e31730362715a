"""A dictionary of the user's to the text of a file for people: JSON or YAML, as its name says."""

from __future__ import annotations

import json
import os
from typing import Any

from mini_mlflow.formats.documents import dump_yaml
from mini_mlflow.formats.values import encode_value

_YAML = (".yaml", ".yml")


def dump_dictionary(value: Any, name: str) -> bytes:
    """``value`` as YAML where ``name`` ends in .yaml or .yml, else as strict JSON; indented, keys in their order.

    Args:
        value: a dict, or any other value that a param may have. Not-a-number and the infinities become the strings
            that they are in all JSON of a tree.

    Raises:
        InvalidTypeError, InvalidValueError: as `encode_value`.
    """
    plain = json.loads(encode_value(value, "the content of %r" % name).json)
    if os.path.splitext(name)[1].lower() in _YAML:
        return dump_yaml(plain)
    return (json.dumps(plain, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "backslashreplace")
