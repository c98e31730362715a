"""A run's files on their way to a server: one after another, each noted as sent when it has arrived."""

from __future__ import annotations

import re
from typing import Any, Callable, List, NamedTuple, Optional
from urllib.parse import urlsplit

from mini_mlflow.exchange.mlflow_server import RefusedError, ServerRun
from mini_mlflow.exchange.push_report import FAILED, SKIPPED
from mini_mlflow.exchange.push_rules import Fitting
from mini_mlflow.exchange.push_source import Artifact
from mini_mlflow.exchange.push_state import Memory

_HERE = ("localhost", "127.0.0.1", "::1")
# MLflow's client puts names into URLs as they are: of these, some lead elsewhere.
_MISLEADING = re.compile(r"[^\w./ ()+,=@~-]")


class Sent(NamedTuple):
    """How many files arrived, and whether nothing is left for another push to try."""

    files: int
    is_whole: bool


def send_artifacts(
    server: Any,
    run: ServerRun,
    files: List[Artifact],
    memory: Memory,
    fitting: Fitting,
    on_file: Callable[[], None],
) -> Sent:
    """The files are among the run's artifacts on the server, or ``fitting`` has a note of why not.

    Args:
        memory: takes the stamps of those that arrived.
        on_file: called after each.

    Raises:
        ServerError: the server does not answer.
    """
    if files and not _is_within_reach(server.to, run.artifact_uri):
        problem = "the server keeps artifacts in a folder of its own, %s: start it with --serve-artifacts"
        for artifact in files:
            fitting.note("artifact", artifact.path, problem % run.artifact_uri, SKIPPED)
        return Sent(0, True)
    count, is_whole = 0, True
    for artifact in files:
        folder = artifact.path.rpartition("/")[0] or None
        try:
            server.log_artifact(run.run_id, artifact.place, folder)
            if _MISLEADING.search(artifact.path) and not _has_arrived(server, run, artifact, folder):
                problem = "the server put it under another name: it takes no such characters"
                fitting.note("artifact", artifact.path, problem, SKIPPED)
            count += 1
            memory.artifacts[artifact.path] = artifact.stamp
        except RefusedError as error:
            done = FAILED if error.may_pass else SKIPPED
            fitting.note("artifact", artifact.path, "the server refused: %s" % error, done)
            is_whole = is_whole and not error.may_pass
        except OSError as error:
            if error.filename is None:
                raise
            # Exchanged or deleted since the listing: the next push sees what stands there then.
            fitting.note("artifact", artifact.path, "it cannot be read: %s" % error.strerror, FAILED)
            is_whole = False
        on_file()
    return Sent(count, is_whole)


def _has_arrived(server: Any, run: ServerRun, artifact: Artifact, folder: Optional[str]) -> bool:
    try:
        return bool(artifact.path in server.list_artifacts(run.run_id, folder))
    except RefusedError:
        return False


def _is_within_reach(to: str, artifact_uri: str) -> bool:
    """Whether what MLflow's client would write to is the server's, and not a folder of that name on this machine."""
    where = urlsplit(to)
    is_local = where.scheme not in ("http", "https") or where.hostname in _HERE
    return is_local or urlsplit(artifact_uri).scheme not in ("", "file")
