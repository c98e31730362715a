"""One run brought to a server: made if it is not there, then all that the server does not have yet, then the mark.

The order is what makes it safe to be cut short anywhere: the run is made with the tag by which it is found again; what
follows may be sent twice without harm, or is compared with what is there; and the tag that says that all has arrived
is set last. What the server has and the tree has not is left alone, but for tags that an earlier push has sent.
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import Any, Callable, Dict, List, Optional, Tuple

from mini_mlflow.errors import DamagedFileError, ServerError
from mini_mlflow.exchange.push_artifacts import send_artifacts
from mini_mlflow.exchange.push_batches import METRIC, PARAM, TAG, Batches
from mini_mlflow.exchange.push_index import ServerIndex
from mini_mlflow.exchange.push_plan import Wanted, plan_run
from mini_mlflow.exchange.push_report import (
    CREATED,
    FAILED,
    KEPT,
    LEFT,
    SKIPPED,
    UNCHANGED,
    UPDATED,
    PushedRun,
)
from mini_mlflow.exchange.push_rules import DELETED_TAG, OWN, PUSHED_TAG, RUN_ID_TAG, Fitting, identity
from mini_mlflow.exchange.push_source import PARENT_TAG, Artifact, Source, list_files, local_folder, read_visible
from mini_mlflow.exchange.push_state import Memories, Memory
from mini_mlflow.exchange.server_answers import RefusedError, ServerRun
from mini_mlflow.formats.mlflow_records import DatasetInput, read_records

_SAVED_EVERY_S = 5.0
#: A part of the work on one run is done: how much of all of it, from 0 to 1.
OnPart = Callable[[float], None]


class RunPush:
    """The push of one run.

    Args:
        server: as `mlflow_server.MlflowServer`.
        source: the run.
        crashed: the status that a run gets there whose owner died.
        on_part: told how far it is.
    """

    def __init__(self, server: Any, source: Source, crashed: str, on_part: OnPart) -> None:
        self._server, self._source, self._crashed, self._on_part = server, source, crashed, on_part
        self._fitting = Fitting()
        self._counts: Dict[str, int] = {}
        self._server_run_id: Optional[str] = None

    def push(self, index: ServerIndex, memories: Memories) -> PushedRun:
        """What became of it. Raises ServerError; what has arrived by then stays, and is remembered."""
        try:
            return self._push(index, memories)
        except ServerError:
            raise
        except RefusedError as error:
            return self._tell(FAILED, str(error))
        except FileNotFoundError as error:
            return self._tell(FAILED, "it is gone from the tree: %s" % error.filename)
        except (DamagedFileError, OSError) as error:
            return self._tell(FAILED, str(error))

    def _push(self, index: ServerIndex, memories: Memories) -> PushedRun:
        wanted = self._plan(index)
        found = index.find(self._source, self._fitting)
        outcome = UPDATED
        if found is None:
            found, outcome = self._create(wanted, index), CREATED
        self._server_run_id = found.run_id or None
        if found.tags.get(PUSHED_TAG) == wanted.fingerprint() and found.is_deleted == self._source.is_deleted:
            self._fitting.notes.clear()
            return self._tell(UNCHANGED)
        if found.is_deleted:
            if DELETED_TAG not in found.tags:
                self._fitting.notes.clear()
                return self._tell(LEFT)
            self._server.restore_run(found.run_id)
        if not self._bring_up(wanted, found, memories):
            return self._tell(FAILED, "some of its artifacts did not arrive")
        if self._source.is_deleted:
            self._server.log_batch(found.run_id, {}, {DELETED_TAG: "true"}, [])
            self._server.delete_run(found.run_id)
        return self._tell(outcome)

    def _bring_up(self, wanted: Wanted, found: ServerRun, memories: Memories) -> bool:
        """Whether all of it has arrived, and the mark says so."""
        address, mark = self._source.run.address, found.tags.get(PUSHED_TAG)
        memory = memories.load(address, found.run_id, mark)
        memory.marks[:] = [mark]
        # Before anything is sent: who is killed behind a request does not know whether it has arrived.
        memories.save(address, memory)
        is_settled = False
        try:
            is_whole = self._send(wanted, found, memory, memories)
            is_settled = True
        finally:
            # With both marks: a kill comes before the new one is set, or after.
            memory.marks.append(wanted.fingerprint())
            memories.save(address, memory, is_settled)
        if is_whole:
            self._server.log_batch(found.run_id, {}, {PUSHED_TAG: wanted.fingerprint()}, [])
            del memory.marks[0]
            memories.save(address, memory, is_settled)
        return is_whole

    def _plan(self, index: ServerIndex) -> Wanted:
        files, empty = self._list_files(index)
        for folder in empty:
            self._fitting.note("artifact", folder, "the server has no empty folders", SKIPPED)
        wanted = plan_run(self._source, files, self._crashed, self._fitting)
        index.experiment(self._source.run.experiment_id)
        parent = index.find_parent(self._source.parent_run_id)
        if parent is not None:
            wanted.tags[PARENT_TAG] = parent
        elif self._source.parent_run_id is not None:
            # Said in a tag too: once the parent is pushed, this run is another one, and is sent its link.
            wanted.tags[OWN + "parent_run_id"] = self._source.parent_run_id
            problem = "its parent is not on the server: push that too"
            self._fitting.note("run", self._source.run.run_id, problem, SKIPPED, "the link to it")
        self._note_models()
        return wanted

    def _list_files(self, index: ServerIndex) -> Tuple[List[Artifact], List[str]]:
        files, empty = list_files(self._source.paths)
        location = index.artifact_location(self._source.run.experiment_id)
        folder = None if location is None else local_folder(location)
        if location is not None and folder is None:
            problem = "what artifacts there are stand at %s, which is not on this machine" % location
            self._fitting.note("artifact", "", problem, SKIPPED)
        if folder is not None:
            # Where MLflow was told to keep them; it leaves those of a deleted run there.
            elsewhere = self._source.paths._replace(folder="%s/%s" % (folder, self._source.run.run_id))
            try:
                more = list_files(elsewhere)
            except FileNotFoundError:
                return files, empty
            files, empty = files + more[0], empty + more[1]
        return files, empty

    def _note_models(self) -> None:
        records = read_records(self._source.run.tags)
        for model_id in [*records.model_inputs, *(output.model_id for output in records.model_outputs)]:
            self._fitting.note("model", model_id, "logged models are not pushed", SKIPPED)

    def _create(self, wanted: Wanted, index: ServerIndex) -> ServerRun:
        experiment_id = index.experiment(self._source.run.experiment_id).experiment_id
        # With what finds it again, and what a list of runs shows; the rest may be long, and be refused.
        first = {key: wanted.tags[key] for key in (RUN_ID_TAG, PARENT_TAG, "mlflow.user") if key in wanted.tags}
        try:
            made: ServerRun = self._server.create_run(experiment_id, wanted.start_ms, wanted.name, first)
        except ServerError:
            # The answer may be what was lost, and not the request.
            found = index.find_made(self._source)
            if found is None:
                raise
            return found
        index.note_made(self._source, made.run_id)
        return made

    # -- what it has -------------------------------------------------------------------------------------------

    def _send(self, wanted: Wanted, found: ServerRun, memory: Memory, memories: Memories) -> bool:
        batches = Batches(self._server, found.run_id, self._fitting, lambda _: None)
        try:
            self._send_values(wanted, found, memory, batches)
            self._send_points(wanted, found, memory, memories, batches)
        finally:
            batches.note_refused()
            self._counts.update(params=batches.sent[PARAM], tags=batches.sent[TAG], points=batches.sent[METRIC])
        self._counts["inputs"] = sum(self._send_dataset(found, dataset) for dataset in wanted.datasets)
        files = [artifact for artifact in wanted.files if memory.artifacts.get(artifact.path) != artifact.stamp]
        save = self._save_now_and_then(memories, memory)
        sent = send_artifacts(self._server, found, files, memory, self._fitting, save)
        self._counts["artifacts"] = sent.files
        self._settle_end(wanted, found)
        return sent.is_whole

    def _send_values(self, wanted: Wanted, found: ServerRun, memory: Memory, batches: Batches) -> None:
        for key, text in wanted.params.items():
            there = found.params.get(key)
            if there is None:
                batches.add(PARAM, key, text)
            elif there != text:
                self._fitting.note("param", key, "the server has another value, and lets none be changed", KEPT, there)
        for key, text in wanted.tags.items():
            if found.tags.get(key) != text:
                batches.add(TAG, key, text)
        batches.flush()
        for key in found.tags:
            ours = key.startswith(OWN) and key not in (PUSHED_TAG, DELETED_TAG)
            if key not in wanted.tags and (ours or key in memory.tags):
                self._server.delete_tag(found.run_id, key)
        memory.tags[:] = sorted(wanted.tags)
        if found.is_deleted and not self._source.is_deleted:
            self._server.delete_tag(found.run_id, DELETED_TAG)

    def _send_points(
        self, wanted: Wanted, found: ServerRun, memory: Memory, memories: Memories, batches: Batches
    ) -> None:
        save = self._save_now_and_then(memories, memory)
        for number, (key, there) in enumerate(wanted.metrics.items()):
            shown, positions, history = read_visible(self._source.paths, key)
            known = memory.sent(key, history.stored)
            new = [(at, point) for at, point in zip(positions, shown) if at >= (known or 0)]
            hidden = (known or 0) - sum(at < (known or 0) for at in positions)
            if hidden:
                problem = "%d points that a rewind has hidden were sent before" % hidden
                self._fitting.note("metric", key, problem, KEPT)
            fitted = self._fitting.points(key, [point for _, point in new])
            if fitted and there in found.metric_keys and not (memory.is_settled and known is not None):
                # Whoever does not remember compares: not every server drops what it has already.
                known_there = set(map(identity, self._server.read_history(found.run_id, there)))
                fitted = [point for point in fitted if identity(point) not in known_there]
            for point in fitted:
                batches.add(METRIC, there, point)
            if history.stored:
                count, last = len(history.stored), history.stored[-1]
                batches.when_sent(partial(memory.note_sent, key, count, last))
            self._on_part((number + 1) / (len(wanted.metrics) + 1))
            save()
        batches.flush()

    def _save_now_and_then(self, memories: Memories, memory: Memory) -> Callable[[], None]:
        # A kill in the middle of an hour of files must not cost the hour.
        last_s = monotonic()

        def save() -> None:
            nonlocal last_s
            if monotonic() - last_s > _SAVED_EVERY_S:
                memories.save(self._source.run.address, memory)
                last_s = monotonic()

        return save

    def _send_dataset(self, found: ServerRun, dataset: DatasetInput) -> bool:
        if (dataset.name, dataset.digest) in found.inputs:
            return False
        try:
            self._server.log_inputs(found.run_id, [dataset])
        except RefusedError as error:
            if error.may_pass:
                raise
            self._fitting.note("dataset", dataset.name, "the server refused: %s" % error, SKIPPED)
            return False
        return True

    def _settle_end(self, wanted: Wanted, found: ServerRun) -> None:
        if wanted.name != found.name:
            self._server.rename_run(found.run_id, wanted.name)
        is_open = wanted.end_ms is None
        if (found.status, found.end_ms) != (wanted.status, wanted.end_ms) and not (
            is_open and found.status == wanted.status
        ):
            self._server.update_run(found.run_id, wanted.status, wanted.end_ms)

    def _tell(self, outcome: str, error: Optional[str] = None) -> PushedRun:
        run = self._source.run
        return PushedRun(
            run.run_id,
            run.experiment_id,
            run.name,
            self._server_run_id,
            outcome,
            notes=tuple(self._fitting.notes),
            error=error,
            **self._counts,
        )
