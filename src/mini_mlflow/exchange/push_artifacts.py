"""A run's files on their way to a server: one after another, each noted as sent when it has arrived."""

from __future__ import annotations

import re
from typing import Any, Callable, List, NamedTuple
from urllib.parse import urlsplit

from mini_mlflow.exchange.push_report import FAILED, SKIPPED
from mini_mlflow.exchange.push_rules import Fitting
from mini_mlflow.exchange.push_source import Artifact
from mini_mlflow.exchange.push_state import Memory
from mini_mlflow.exchange.server_answers import RefusedError, ServerRun

_HERE = ("localhost", "127.0.0.1", "::1")
# MLflow's client puts names into URLs as they are, where these mean something: the file would get another name.
_MISLEADING = re.compile(r"[#?]|%[0-9A-Fa-f]{2}")
_BY_URL = ("http", "https", "mlflow-artifacts")


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
        if _MISLEADING.search(artifact.path) and urlsplit(run.artifact_uri).scheme in _BY_URL:
            problem = "MLflow's client would put it under another name: rename what has # or ? or %XX in it"
            fitting.note("artifact", artifact.path, problem, SKIPPED)
            continue
        try:
            server.log_artifact(run.run_id, artifact.place, artifact.path.rpartition("/")[0] or None)
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


def _is_within_reach(to: str, artifact_uri: str) -> bool:
    """Whether what MLflow's client would write to is the server's, and not a folder of that name on this machine."""
    where = urlsplit(to)
    is_local = where.scheme not in ("http", "https") or where.hostname in _HERE
    return is_local or urlsplit(artifact_uri).scheme not in ("", "file")
