"""`import_csv`: files of comma-separated values come in, each a run, or each run of a column."""

from __future__ import annotations

import functools
import os
from typing import Any, Collection, Dict, Iterator, List, Optional

from mini_mlflow.disk.keys import check_text
from mini_mlflow.entities import FINISHED, RunAddress
from mini_mlflow.errors import InvalidValueError
from mini_mlflow.exchange.csv_columns import Wanted
from mini_mlflow.exchange.csv_rows import CsvFile
from mini_mlflow.exchange.experiments_here import settle_experiment
from mini_mlflow.exchange.incoming import IncomingExperiment, IncomingRun, IncomingValue
from mini_mlflow.exchange.mlflow_files import to_iso
from mini_mlflow.exchange.report import ImportReport, Tally
from mini_mlflow.exchange.spool import Spool
from mini_mlflow.exchange.storing import store_run
from mini_mlflow.exchange.target import Progress, Standing, Target, locate_runs, make_target
from mini_mlflow.formats.experiments import DEFAULT_ID

# Names that say nothing: there, the folder's does.
_NAMELESS = ("metrics", "progress", "results", "log", "history")


def import_csv(
    paths: Any,
    runs_dir: Any = None,
    *,
    experiment: Optional[str] = None,
    run_column: Optional[str] = None,
    step_column: Optional[str] = None,
    time_column: Optional[str] = None,
    params: Collection[str] = (),
    dry_run: bool = False,
    progress: Optional[Progress] = None,
    fsync: Optional[str] = None,
    lock_timeout_s: Optional[float] = None,
) -> ImportReport:
    """Each file is a run, of which each column of numbers is a metric and each row a step.

    The exports of W&B and TensorBoard, and what Lightning and Keras write, are recognised by their columns
    (`csv_columns`). Repeated, for a file that has grown, it adds the new rows: a run is known again by its file's path
    and its name.

    Args:
        paths: a file, or several; of a folder all ``*.csv`` in it, at any depth.
        runs_dir: the tree; None: that of `start_run`.
        experiment: the name of the experiment, which is made if there is none; None: experiment 0.
        run_column: the column that names the run of a row; None: all rows of a file are one run, named by the file.
        step_column, time_column: None: recognised by their names. Without a step, the row's number is one; without a
            time, the file's last change is the time of all rows.
        params: columns that hold params, not metrics.
        dry_run, progress, fsync, lock_timeout_s: as for `import_mlflow`; progress is in files.

    Raises:
        ValueError, TypeError: a bad argument; nothing was changed.
        OSError: the disk refused. What had come in by then stands.
    """
    target = make_target(runs_dir, "none", dry_run, fsync, lock_timeout_s)
    files = list_files([paths] if isinstance(paths, (str, os.PathLike)) else list(paths), (".csv", ".tsv"))
    wanted = Wanted(run_column, step_column, time_column, tuple(params))
    check_text(experiment, "experiment")
    tally = Tally()
    standing = locate_runs(target.root)
    number = settle_named(target, experiment, standing, tally)
    for done, path in enumerate(files, 1):
        try:
            _import_file(path, wanted, target, number, standing, tally)
        except InvalidValueError as error:
            tally.tell(path, str(error).replace(path + " ", "", 1))
        if progress is not None:
            progress(done, len(files))
    return tally.report(
        ", ".join(map(str, files[:1])) if len(files) == 1 else "%d files" % len(files), target.root, dry_run
    )


def list_files(paths: List[Any], suffixes: Any) -> List[str]:
    """The absolute paths of the files; of a folder, those in it that end so. Raises InvalidValueError if none is."""
    found: List[str] = []
    for path in paths:
        text = os.path.abspath(os.fspath(path))
        if os.path.isdir(text):
            below = [os.path.join(top, name) for top, _, names in os.walk(text) for name in names]
            found += sorted(one for one in below if one.endswith(suffixes))
        elif os.path.exists(text):
            found.append(text)
        else:
            raise InvalidValueError("%s is not there" % text)
    if not found:
        raise InvalidValueError("there is no file to import in %s" % ", ".join(map(str, paths)))
    return list(dict.fromkeys(found))


def settle_named(target: Target, name: Optional[str], standing: Dict[str, Standing], tally: Tally) -> int:
    """The number of the experiment of that name, which is made if there is none; None: 0."""
    incoming = IncomingExperiment(DEFAULT_ID if name is None else None, name, {})
    return settle_experiment(target, incoming, (), standing, "", tally).experiment_id


def name_run(*parts: str) -> str:
    """A run id that is the same for the same parts, and else another."""
    import hashlib

    return hashlib.md5("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _import_file(
    path: str, wanted: Wanted, target: Target, number: int, standing: Dict[str, Standing], tally: Tally
) -> None:
    file_ms = int(os.stat(path).st_mtime * 1000)
    file = CsvFile(path, wanted, file_ms, tally.tell)
    with Spool() as spool:
        file.read_into(spool)
        for run in _to_runs(file, spool, file_ms):
            known = standing.get(run.run_id)
            address = RunAddress(target.root, number, run.run_id) if known is None else known.address
            store_run(target, address, run, tally)


def _to_runs(file: CsvFile, spool: Spool, file_ms: int) -> Iterator[IncomingRun]:
    folder, stem = os.path.split(os.path.splitext(os.path.realpath(file.path))[0])
    for name, params in file.params.items():
        if not name and not params and name not in spool.spans:
            continue
        first, last = spool.spans.get(name, (file_ms, file_ms))
        # The downloads of TensorBoard are a file a metric: those of one run are told by the folder and its name.
        run_id = name_run("csv", folder, name) if _is_part(name, stem) else name_run("csv", folder, stem, name)
        label = name or (os.path.basename(folder) if stem.lower() in _NAMELESS else stem)
        yield IncomingRun(
            run_id,
            file.path,
            label,
            FINISHED,
            to_iso(first),
            to_iso(last),
            None,
            {"script": None, "pid": None, "host": None, "python": None, "git_commit": None, "git_dirty": None},
            {key: IncomingValue(value, file_ms) for key, value in params.items()},
            {"source": IncomingValue(file.path)} if not _is_part(name, stem) else {},
            functools.partial(spool.metrics, name),
            has_times=file.has_times,
        )


def _is_part(name: str, stem: str) -> bool:
    return bool(name) and stem.startswith("run-%s-tag-" % name)
