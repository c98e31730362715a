"""A CSV file read row by row into points and params."""

from __future__ import annotations

import csv
import sys
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, TextIO

from mini_mlflow.entities import Point
from mini_mlflow.errors import InvalidValueError
from mini_mlflow.exchange.csv_columns import Columns, Wanted, recognise
from mini_mlflow.exchange.mlflow_files import Tell
from mini_mlflow.exchange.spool import Spool
from mini_mlflow.formats.times import LIMIT_MS, iso_to_ms

_DELIMITERS = ",;\t|"
# What a clock has said since 1973, in seconds and in milliseconds: a smaller number counts from somebody's own start.
_EARLIEST_S, _EARLIEST_MS = 1e8, 1e11


class CsvFile:
    """One file.

    Attributes:
        params: run to key to value, once it was read; each run of the file is in it.
        has_times: False: no column is a time.
    """

    def __init__(self, path: str, wanted: Wanted, file_ms: int, tell: Tell) -> None:
        self.path = path
        self.params: Dict[str, Dict[str, Any]] = {}
        self.has_times = False
        self._wanted, self._file_ms, self._tell = wanted, file_ms, tell
        self._header: Sequence[str] = ()
        self._numbers: Set[int] = set()
        self._texts: Dict[int, List[int]] = {}
        self._rows: Dict[str, int] = {}

    def read_into(self, spool: Spool) -> None:
        """All points of the file are in the spool.

        Raises:
            InvalidValueError: as `csv_columns.recognise`, or it is no CSV in UTF-8.
            OSError: it cannot be read.
        """
        # A cell may be a text of any length, and the module's own limit is a setting of the whole process.
        csv.field_size_limit(max(csv.field_size_limit(), min(sys.maxsize, 2**31 - 1)))
        with open(self.path, encoding="utf-8-sig", newline="") as stream:
            rows = _iter_rows(stream)
            header: List[str] = next(rows, [])
            columns = recognise(header, self.path, self._wanted)
            self._header = header
            for number, row in enumerate(rows, 2):
                if any(row):
                    columns = self._settle_time(columns, row) if number == 2 else columns
                    self._take(columns, row, number, spool)
        self._tell_texts(columns)

    def _settle_time(self, columns: Columns, row: Sequence[str]) -> Columns:
        """A column that is called a time and holds none, by the first row, is a metric (seconds since the start)."""
        if columns.time is None:
            return columns
        if _to_ms(_cell(row, columns.time)) is not None or self._wanted.time is not None:
            self.has_times = True
            return columns
        name = self._header[columns.time].strip()
        return columns._replace(time=None, metrics={**columns.metrics, columns.time: ("", name)})

    def _take(self, columns: Columns, row: Sequence[str], number: int, spool: Spool) -> None:
        run = "" if columns.run is None else _cell(row, columns.run)
        step = self._rows.get(run, 0) if columns.step is None else _to_step(_cell(row, columns.step))
        time_ms = self._file_ms if columns.time is None else _to_ms(_cell(row, columns.time))
        self._rows[run] = self._rows.get(run, 0) + 1
        if step is None or time_ms is None:
            self._tell_once(-1 if step is None else -2, number, "step" if step is None else "time")
            return
        self.params.setdefault(run, {})
        for position, key in columns.params.items():
            cell = _cell(row, position)
            if cell:
                self.params[run][key] = _to_value(cell)
        for position, (own_run, key) in columns.metrics.items():
            cell = _cell(row, position)
            if not cell:
                continue
            try:
                value = float(cell)
            except ValueError:
                self._texts.setdefault(position, []).append(number)
                del self._texts[position][2:]
                continue
            self._numbers.add(position)
            if own_run:
                self.params.setdefault(own_run, {})
            spool.add(own_run or run, key, Point(step, value, time_ms))

    def _tell_once(self, which: int, number: int, what: str) -> None:
        if which not in self._texts:
            self._texts[which] = [number]
            self._tell(self.path, "row %d, and perhaps others, has no %s that can be read; left out" % (number, what))

    def _tell_texts(self, columns: Columns) -> None:
        for position, numbers in self._texts.items():
            if position in columns.metrics:
                text = "column %r holds no numbers; --params makes it a param"
                if position in self._numbers:
                    text = "column %%r holds text in row %d and perhaps others; left out" % numbers[0]
                self._tell(self.path, text % self._header[position])


def _iter_rows(stream: TextIO) -> Iterator[List[str]]:
    try:
        first = stream.readline()
        delimiter = max(_DELIMITERS, key=first.count)
        stream.seek(0)
        yield from csv.reader(stream, delimiter=delimiter)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidValueError("%s is no CSV in UTF-8: %s" % (stream.name, error)) from None


def _cell(row: Sequence[str], position: int) -> str:
    return row[position].strip() if position < len(row) else ""


def _to_step(cell: str) -> Optional[int]:
    try:
        return int(cell)
    except ValueError:
        pass
    try:
        number = float(cell)
    except ValueError:
        return None
    # pandas writes 3.0 where another row has no step.
    return int(number) if number == number and abs(number) < 1e18 and number == int(number) else None


def _to_ms(cell: str) -> Optional[int]:
    try:
        number = float(cell)
    except ValueError:
        return iso_to_ms(cell)
    if number >= _EARLIEST_MS:
        time_ms = int(number) if number <= LIMIT_MS else -1
    else:
        time_ms = round(number * 1000) if number >= _EARLIEST_S else -1
    return time_ms if time_ms >= 0 else None


def _to_value(cell: str) -> Any:
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(cell.lower(), cell)
