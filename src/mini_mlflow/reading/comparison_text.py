"""A comparison of runs as a table for people: a column a run, what differs first."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Sequence, Tuple

from mini_mlflow.formats.printable import printable

_WIDEST = 28
_ID_CHARACTERS = 12
_NONE = "-"
_INDENT = "  "

Row = Tuple[str, ...]


def write_comparison(found: Dict[str, Any]) -> str:
    """The table of what `Comparison.to_dict` gives."""
    # As much of an id as names the run, in nearly every tree.
    heads = [printable(run_id[:_ID_CHARACTERS]) for run_id in found["run_ids"]]
    rows: List[Row] = [("", *heads)]
    if any(name is not None for name in found["names"]):
        rows.append(("", *map(_cell, found["names"])))
    rows += _sections(found["differing"])
    rows += _metrics(found["metrics"])
    if not found["differing"]:
        rows.append(("params, tags, code and environment are the same",))
    if "equal" in found:
        rows += [("",), ("the same in all",), *_sections(found["equal"])]
    return "\n".join(_align(rows))


def _sections(sections: Dict[str, Dict[str, List[Any]]]) -> Iterator[Row]:
    for section, values in sections.items():
        yield (section,)
        for key, row in values.items():
            yield (_INDENT + _cell(key), *map(_cell, row))


def _metrics(metrics: Dict[str, Any]) -> Iterator[Row]:
    if metrics:
        yield ("metrics",)
    for key, metric in metrics.items():
        parting = metric["parts_at"]
        note = () if parting is None else ("from step %d" % parting,)
        yield (_INDENT + _cell(key), *map(_number, metric["last"]), *note)
        for name in ("min", "max"):
            yield (_INDENT * 2 + name, *map(_number, metric[name]))


def _cell(value: Any) -> str:
    if value is None:
        return _NONE
    return _short(printable(str(value)), _WIDEST)


def _number(value: Any) -> str:
    return "%.6g" % value if isinstance(value, float) else _cell(value)


def _short(text: str, limit: int) -> str:
    # From the middle: two paths differ at their ends, two commits at their beginnings.
    return text if len(text) <= limit else text[: limit // 2 - 1] + "…" + text[-limit // 2 :]


def _align(rows: Sequence[Row]) -> Iterator[str]:
    columns = max(len(row) for row in rows)
    # Titles stand alone in their row and may run over the columns.
    widths = [max((len(row[n]) for row in rows if len(row) > max(n, 1)), default=0) for n in range(columns)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
