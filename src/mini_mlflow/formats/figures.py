"""A figure to the bytes of a file, by what the figure itself can do: nothing of matplotlib or plotly is imported."""

from __future__ import annotations

import io
import os
from typing import Any

from mini_mlflow.errors import InvalidPathError, InvalidTypeError

_HTML = ("html", "htm")


def dump_figure(figure: Any, name: str) -> bytes:
    """The figure in the format that the suffix of ``name`` says.

    Args:
        figure: has ``savefig`` (matplotlib), or ``write_html`` and ``write_image`` (plotly, which needs kaleido for
            the latter).
        name: ``"curve.png"``, ``"curve.html"``.

    Raises:
        InvalidTypeError: it has neither.
        InvalidPathError: the name has no suffix.
        Exception: whatever the figure raises, of a suffix that it does not know, say.
    """
    suffix = os.path.splitext(name)[1][1:].lower()
    if not suffix:
        raise InvalidPathError("the name of a figure needs a suffix, such as .png or .html: %.220r" % name)
    if hasattr(figure, "savefig"):
        return _to_bytes(lambda file: figure.savefig(file, format=suffix))
    if hasattr(figure, "write_html") and suffix in _HTML:
        text = io.StringIO()
        figure.write_html(text)
        return text.getvalue().encode("utf-8")
    if hasattr(figure, "write_image"):
        return _to_bytes(lambda file: figure.write_image(file, format=suffix))
    raise InvalidTypeError("a figure is one of matplotlib or plotly, not %s" % type(figure).__name__)


def _to_bytes(save: Any) -> bytes:
    data = io.BytesIO()
    save(data)
    return data.getvalue()
