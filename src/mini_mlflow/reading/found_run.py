"""What a search finds: runs as they stood when it looked, light, read-only, and without their histories."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.entities import Point, RunAddress
from mini_mlflow.errors import DamagedFileError, MissingExtraError
from mini_mlflow.formats.latest import parse_all_latest, parse_latest
from mini_mlflow.formats.snapshot_parts import METADATA, METRICS, PARAMS, TAGS, find_summary, parse_part, split_snapshot
from mini_mlflow.formats.values import to_nonfinite
from mini_mlflow.reading.run_folder import warn
from mini_mlflow.reading.run_view import RunView, read_run

_FIELDS = ("run_id", "experiment_id", "name", "version", "status", "start_time", "end_time", "parent_run_id")
_TIMES = ("start_time", "end_time")
_NOTHING = RunView({}, {}, {}, {}, {})


class FoundRun:
    """A run as it stood when it was found; what happens to it later does not show here.

    An ended run is kept as the bytes of its snapshot, and each part of it is parsed when it is asked for. A part that
    turns out to be damaged then is read from the run's documents, with a DamagedFileWarning; if these are gone too,
    it is empty.
    """

    __slots__ = ("_address", "_lines", "_parts", "_view")

    def __init__(self, address: RunAddress, lines: Optional[List[bytes]], view: Optional[RunView] = None) -> None:
        self._address = address
        self._lines = lines
        self._view = view
        self._parts: Dict[str, Dict[str, Any]] = {}

    @classmethod
    def of_snapshot(cls, address: RunAddress, data: bytes) -> Optional[FoundRun]:
        """The run of a snapshot's bytes; None if that is not laid out as we do, or its metadata cannot be read."""
        lines = split_snapshot(data)
        if lines is None:
            return None
        run = cls(address, lines)
        try:
            run._parts[METADATA] = parse_part(lines, METADATA, "")
        except DamagedFileError:
            return None
        return run

    @classmethod
    def read(cls, address: RunAddress) -> FoundRun:
        """The run as it stands, open or ended. Raises as `read_run`."""
        return cls(address, None, read_run(RunPaths.of(address)))

    def forget_parts(self) -> None:
        """What was parsed is dropped, and parsed again when it is asked for: bytes take a fifth of the memory."""
        self._parts = {}

    # -- what it is --------------------------------------------------------------------------------------------

    @property
    def address(self) -> RunAddress:
        """Where it stands."""
        return self._address

    @property
    def run_id(self) -> str:
        """The id; also the name of its folder."""
        return self._address.run_id

    @property
    def experiment_id(self) -> int:
        """The experiment's id."""
        return self._address.experiment_id

    @property
    def name(self) -> Optional[str]:
        """The name that it was started with, or was given later."""
        return self.metadata.get("name")

    @property
    def version(self) -> Optional[str]:
        """The version that it was started with."""
        return self.metadata.get("version")

    @property
    def status(self) -> str:
        """RUNNING, FINISHED, FAILED, KILLED; CRASHED or UNKNOWN where its owner is gone or out of sight."""
        return str(self.metadata.get("status"))

    @property
    def start_time(self) -> Optional[str]:
        """ISO 8601, UTC."""
        return self.metadata.get("start_time")

    @property
    def end_time(self) -> Optional[str]:
        """ISO 8601, UTC; None while it is open."""
        return self.metadata.get("end_time")

    @property
    def parent_run_id(self) -> Optional[str]:
        """The run that was active when this one was started nested."""
        return self.metadata.get("parent_run_id")

    @property
    def metadata(self) -> Dict[str, Any]:
        """All of ``meta.yaml``."""
        return self._part(METADATA)

    @property
    def params(self) -> Dict[str, Any]:
        """Key to value."""
        return self._part(PARAMS)

    @property
    def tags(self) -> Dict[str, Any]:
        """Key to value."""
        return self._part(TAGS)

    @property
    def metrics(self) -> Dict[str, float]:
        """Key to last value."""
        found = {key: summary["value"] for key, summary in self._part(METRICS).items()}
        # A float is what nearly all of them are: a listing asks this for each metric of each run.
        return {key: value if type(value) is float else to_nonfinite(value) for key, value in found.items()}

    def last_value(self, key: str) -> Optional[float]:
        """The last value of a metric; None if the run does not have it, or another writer put no number there."""
        summary = self._summary(key)
        value = None if summary is None else to_nonfinite(summary.get("value"))
        return value if isinstance(value, (float, int)) and not isinstance(value, bool) else None

    def metric_summary(self, key: str) -> Optional[Dict[str, Any]]:
        """``{"value", "step", "timestamp", "count", "min", "max"}`` of a metric, None if the run does not have it.

        Value, step and timestamp (milliseconds since the epoch) are those of its last point; min and max leave NaN
        out, and are None if there is nothing else.
        """
        summary = self._summary(key)
        if summary is None:
            return None
        return {name: to_nonfinite(summary.get(name)) for name in ("value", "step", "timestamp", "count", "min", "max")}

    def latest_metrics(self) -> Dict[str, Point]:
        """Key to latest point: of the highest step, then timestamp, then value, as MLflow means it, where ``metrics``
        goes by the order of logging. A metric that another writer put no number into is left out."""
        return parse_all_latest(self._part(METRICS))

    def latest_metric(self, key: str) -> Optional[Point]:
        """The same of one metric; None if the run does not have it."""
        summary = self._summary(key)
        return None if summary is None else parse_latest(summary)

    def to_dict(self) -> Dict[str, Any]:
        """The fields above as a dict, with "params", "metrics" (last values) and "tags" in it."""
        found: Dict[str, Any] = {name: getattr(self, name) for name in _FIELDS}
        found.update(params=self.params, metrics=self.metrics, tags=self.tags)
        return found

    def __repr__(self) -> str:
        return "FoundRun(run_id=%r, experiment_id=%d, name=%r, status=%r)" % (
            self.run_id,
            self.experiment_id,
            self.name,
            self.status,
        )

    def _summary(self, key: str) -> Optional[Dict[str, Any]]:
        if self._lines is not None and METRICS not in self._parts:
            summary = find_summary(self._lines, key)
            if summary is not None:
                return summary
        return self._part(METRICS).get(key)

    def _part(self, name: str) -> Dict[str, Any]:
        found = self._parts.get(name)
        if found is None:
            found = self._parts[name] = self._parse(name)
        return found

    def _parse(self, name: str) -> Dict[str, Any]:
        if self._lines is not None and self._view is None:
            path = RunPaths.of(self._address).snapshot
            try:
                return parse_part(self._lines, name, path)
            except DamagedFileError as error:
                warn(error)
                self._view = self._read_instead()
        view = self._view or _NOTHING
        return {METADATA: view.metadata, PARAMS: view.params, TAGS: view.tags, METRICS: view.summaries}[name]

    def _read_instead(self) -> RunView:
        try:
            return read_run(RunPaths.of(self._address))
        except (OSError, DamagedFileError) as error:
            warn(error)
            return _NOTHING


class FoundRuns(List[FoundRun]):
    """The runs that a search found, in order: a list, with two ways out of it."""

    def to_dicts(self) -> List[Dict[str, Any]]:
        """Each run as `FoundRun.to_dict` has it."""
        return [run.to_dict() for run in self]

    def to_pandas(self) -> Any:
        """A DataFrame with a row a run, its columns named as MLflow does: ``run_id``, …, ``metrics.loss``,
        ``params.lr``, ``tags.stage``. Times are pandas' own, in UTC; what a run does not have is missing (NaN, None).

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingExtraError.of("to_pandas()", "pandas", "pandas", "pandas") from None
        columns: Dict[str, List[Any]] = {name: [getattr(run, name) for run in self] for name in _FIELDS}
        for kind in (METRICS, PARAMS, TAGS):
            found = [getattr(run, kind) for run in self]
            for key in sorted({key for values in found for key in values}):
                columns["%s.%s" % (kind, key)] = [values.get(key) for values in found]
        frame = pandas.DataFrame(columns)
        for name in _TIMES:
            frame[name] = pandas.to_datetime(frame[name], utc=True, errors="coerce")
        return frame
