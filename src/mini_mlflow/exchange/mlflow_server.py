"""A tracking server as a push sees it, through MLflow's own client: the only module of the package's that knows that.

Every error is one of two: `ServerError` (it does not answer, or lets this client do nothing), after which nothing more
is tried, or `RefusedError` (it answered, and does not take this one thing).

MLflow's client repeats what was not answered, by itself, up to ``MLFLOW_HTTP_REQUEST_MAX_RETRIES`` times. That is
right for whatever may be done twice. A run that is made is not: where the answer was lost, the second request would
make a second run, so `create_run` is never repeated here.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from mini_mlflow.entities import RUNNING, Point
from mini_mlflow.errors import MiniMlflowError, MissingExtraError, ServerError
from mini_mlflow.exchange.push_rules import RUN_ID_TAG, hide_password
from mini_mlflow.exchange.server_answers import RefusedError, ServerExperiment, ServerRun
from mini_mlflow.formats.mlflow_records import DatasetInput

_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_SILENCE = "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"
_PAGE = 1000
# What MLflow's client says of a request that was not answered, or not understood to be answered.
_NO_ANSWER = frozenset(["INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"])
_NOT_LET_IN = frozenset(["UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"])
_NOT_FOUND = "RESOURCE_DOES_NOT_EXIST"
_EXISTS = "RESOURCE_ALREADY_EXISTS"
_HTTP = "HTTP %d"


def connect(to: str) -> MlflowServer:
    """The server at the address, which has answered.

    Args:
        to: whatever MLflow takes for a tracking URI: ``http://host:5000``, ``databricks``, ``sqlite:///x.db``.

    Raises:
        MissingExtraError: MLflow is not installed.
        ServerError: nothing answers there, or it does not let this client in.
    """
    try:
        import mlflow
    except ImportError:
        raise MissingExtraError.of("push", "MLflow's client", "mlflow-skinny", "mlflow") from None
    server = MlflowServer(to, mlflow)
    server.check()
    return server


@contextmanager
def _set(**variables: str) -> Iterator[None]:
    """Environment variables that MLflow's client reads at each call, for the length of the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class MlflowServer:
    """The server at ``to``; ``mlflow`` is that module."""

    def __init__(self, to: str, mlflow: Any) -> None:
        self.to = to
        self._shown = hide_password(to)
        self._mlflow = mlflow
        with self._errors():
            self._client = mlflow.MlflowClient(tracking_uri=to)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._mlflow.exceptions.MlflowException as error:
            raise self._judge(error) from None
        except OSError as error:
            if error.filename is not None:
                # A file of the tree's.
                raise
            # requests' own errors are OSErrors: MLflow's client lets some of them through.
            answer = getattr(error, "response", None)
            if answer is not None:
                raise RefusedError(str(error), _HTTP % answer.status_code) from None
            raise ServerError("%s: %s" % (self._shown, error)) from None

    def _judge(self, error: Any) -> MiniMlflowError:
        code = str(getattr(error, "error_code", ""))
        answered = isinstance(error, self._mlflow.exceptions.RestException)
        message = str(getattr(error, "message", error)).strip()
        if code in _NOT_LET_IN or (code in _NO_ANSWER and not answered):
            return ServerError("%s: %s" % (self._shown, message))
        return RefusedError(message, code)

    def check(self) -> None:
        """Returns if the server answers. Raises ServerError, at once where nothing listens."""
        with self._errors(), _set(**{_RETRIES: "0"}):
            try:
                self._client.search_experiments(max_results=1)
            except ImportError as error:
                raise ServerError("%s: %s" % (self._shown, error)) from None

    # -- experiments -------------------------------------------------------------------------------------------

    def find_experiment(self, name: str) -> Optional[ServerExperiment]:
        with self._errors():
            found = self._client.get_experiment_by_name(name)
        if found is None:
            return None
        tags = {str(key): str(value) for key, value in found.tags.items()}
        return ServerExperiment(str(found.experiment_id), found.name, found.lifecycle_stage == "deleted", tags)

    def create_experiment(self, name: str) -> None:
        """The experiment is there; nothing happens if somebody else has just made it."""
        try:
            with self._errors():
                self._client.create_experiment(name)
        except RefusedError as error:
            if error.code != _EXISTS:
                raise

    def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
        with self._errors():
            self._client.set_experiment_tag(experiment_id, key, value)

    # -- runs --------------------------------------------------------------------------------------------------

    def get_run(self, run_id: str) -> Optional[ServerRun]:
        """The run; None if there is none of that id."""
        try:
            with self._errors():
                return _to_run(self._client.get_run(run_id))
        except RefusedError as error:
            if error.code == _NOT_FOUND:
                return None
            raise

    def find_runs(self, experiment_ids: Sequence[str], run_id: Optional[str]) -> Iterator[ServerRun]:
        """The runs, deleted ones too, that were pushed from a run of that id; None: from any."""
        text = "LIKE '%'" if run_id is None else "= '%s'" % run_id.replace("'", "''")
        if run_id is not None and "'" in run_id:
            # The language of filters has no way to write it; what is found is looked through.
            text = '= "%s"' % run_id
        token = None
        while experiment_ids:
            with self._errors():
                page = self._client.search_runs(
                    list(experiment_ids),
                    filter_string="tags.`%s` %s" % (RUN_ID_TAG, text),
                    run_view_type=self._mlflow.entities.ViewType.ALL,
                    max_results=_PAGE,
                    page_token=token,
                )
            for run in page:
                if run_id is None or run.data.tags.get(RUN_ID_TAG) == run_id:
                    yield _to_run(run)
            token = page.token
            if not token:
                return

    def create_run(self, experiment_id: str, start_ms: Optional[int], name: str, tags: Dict[str, str]) -> ServerRun:
        """A new run. Where the answer is lost it may have been made all the same: ServerError, and nothing repeated."""
        with self._errors(), _set(**{_RETRIES: "0"}):
            return _to_run(self._client.create_run(experiment_id, start_time=start_ms, tags=tags, run_name=name))

    def update_run(self, run_id: str, status: str, end_ms: Optional[int]) -> None:
        """The run has that status; and one that has ended, that time of its end."""
        with self._errors(), _set(**{_SILENCE: "true"}):
            if status == RUNNING or end_ms is None:
                self._client.update_run(run_id, status=status)
            else:
                self._client.set_terminated(run_id, status=status, end_time=end_ms)

    def rename_run(self, run_id: str, name: str) -> None:
        with self._errors():
            self._client.update_run(run_id, name=name)

    def delete_run(self, run_id: str) -> None:
        with self._errors():
            self._client.delete_run(run_id)

    def restore_run(self, run_id: str) -> None:
        with self._errors():
            self._client.restore_run(run_id)

    # -- what a run has ----------------------------------------------------------------------------------------

    def log_batch(
        self, run_id: str, params: Mapping[str, str], tags: Mapping[str, str], points: Sequence[Tuple[str, Point]]
    ) -> None:
        """All of it is stored, or what is told; at most a thousand points, and a hundred of each of the others."""
        entities = self._mlflow.entities
        with self._errors():
            self._client.log_batch(
                run_id,
                metrics=[entities.Metric(key, point.value, point.timestamp, point.step) for key, point in points],
                params=[entities.Param(key, value) for key, value in params.items()],
                tags=[entities.RunTag(key, value) for key, value in tags.items()],
            )

    def delete_tag(self, run_id: str, key: str) -> None:
        try:
            with self._errors():
                self._client.delete_tag(run_id, key)
        except RefusedError as error:
            if error.code != _NOT_FOUND:
                raise

    def read_history(self, run_id: str, key: str) -> List[Point]:
        with self._errors():
            found = self._client.get_metric_history(run_id, key)
        return [Point(int(metric.step), float(metric.value), int(metric.timestamp)) for metric in found]

    def log_inputs(self, run_id: str, datasets: Sequence[DatasetInput]) -> None:
        entities = self._mlflow.entities
        inputs = [
            entities.DatasetInput(
                entities.Dataset(one.name, one.digest, one.source_type, one.source, one.schema, one.profile),
                [entities.InputTag(key, value) for key, value in one.tags.items()],
            )
            for one in datasets
        ]
        with self._errors():
            self._client.log_inputs(run_id, inputs)

    def log_artifact(self, run_id: str, place: str, folder: Optional[str]) -> None:
        """The file is among the run's artifacts, under its own name in that folder (None: their top).

        Raises:
            FileNotFoundError, PermissionError: it cannot be read here.
        """
        with self._errors():
            try:
                self._client.log_artifact(run_id, place, folder)
            except (OSError, self._mlflow.exceptions.MlflowException):
                raise
            except Exception as error:
                raise RefusedError("%s: %s" % (type(error).__name__, error)) from error


def _to_run(run: Any) -> ServerRun:
    datasets = run.inputs.dataset_inputs if getattr(run, "inputs", None) is not None else ()
    return ServerRun(
        run.info.run_id,
        str(run.info.experiment_id),
        run.info.run_name or "",
        run.info.status,
        run.info.start_time,
        run.info.end_time,
        run.info.lifecycle_stage == "deleted",
        run.info.artifact_uri or "",
        dict(run.data.params),
        dict(run.data.tags),
        frozenset(run.data.metrics),
        frozenset((one.dataset.name, one.dataset.digest) for one in datasets),
    )
