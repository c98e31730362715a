"""A real ``mlflow server`` for a test session: on PostgreSQL where there is one, else on SQLite; and a proxy that cuts.

All of it listens on 127.0.0.1 alone, in a folder that is gone afterwards, and is stopped by whoever started it.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, Iterator, List, Optional

STARTS_WITHIN_S = 240.0
_NOBODY = 65534


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def database(folder: str) -> Iterator[str]:
    """The URI of an empty database, for the length of the block; a line tells which kind it is."""
    programs = [shutil.which(name) for name in ("initdb", "pg_ctl")]
    try:
        import psycopg2  # noqa: F401
    except ImportError:
        programs.append(None)
    if None in programs:
        print("\nthe MLflow server is on SQLite: PostgreSQL's initdb and pg_ctl, or psycopg2, are not installed")
        yield "sqlite:///%s/mlflow.db" % folder
        return
    with _postgresql(folder) as uri:
        print("\nthe MLflow server is on PostgreSQL")
        yield uri


@contextmanager
def _postgresql(folder: str) -> Iterator[str]:
    place = os.path.join(folder, "postgresql")
    os.mkdir(place, 0o755)
    other: Dict[str, Any] = {}
    if hasattr(os, "getuid") and os.getuid() == 0:
        # PostgreSQL refuses to run as root, and its folder must be its user's.
        os.chown(place, _NOBODY, _NOBODY)
        other = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}

    def run(*command: str) -> None:
        done = subprocess.run(
            command, cwd=place, env=dict(os.environ, HOME=place, LC_ALL="C"), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=STARTS_WITHIN_S, **other,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout.decode("utf-8", "replace")

    data, port = os.path.join(place, "data"), free_port()
    run("initdb", "-D", data, "-U", "mlflow", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = "-p %d -k %s -c listen_addresses=127.0.0.1 -c fsync=off" % (port, place)
    # Its output goes to a file: a pipe would stay open as long as the database.
    run("pg_ctl", "-D", data, "-w", "-l", os.path.join(place, "log"), "-o", options, "start")
    try:
        yield "postgresql+psycopg2://mlflow@127.0.0.1:%d/postgres" % port
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")


class Server:
    """A ``mlflow server`` process on a database, which can be killed and started again.

    Attributes:
        url: its address.
    """

    def __init__(self, folder: str, database_uri: str) -> None:
        self._folder, self._database_uri, self._port = folder, database_uri, free_port()
        self.url = "http://127.0.0.1:%d" % self._port
        self._process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port),
            "--workers", "1", "--backend-store-uri", self._database_uri,
            "--artifacts-destination", os.path.join(self._folder, "artifacts"),
        ]  # fmt: skip
        environment = dict(os.environ, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", MLFLOW_DISABLE_TELEMETRY="true")
        with open(os.path.join(self._folder, "server.log"), "ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                with open(os.path.join(self._folder, "server.log"), errors="replace") as log_file:
                    raise AssertionError("the server does not answer:\n" + log_file.read()[-3000:])
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, http.client.HTTPException):
            return False

    def kill(self) -> None:
        """It is gone with all the processes that it has started, however it was doing."""
        if self._process is not None:
            try:
                # The session that was started for it holds nothing else.
                os.killpg(self._process.pid, 9)
            except ProcessLookupError:
                pass
            self._process.wait(30)
            self._process = None


@contextmanager
def mlflow_server() -> Iterator[Server]:
    """A server that answers, for the length of the block."""
    folder = tempfile.mkdtemp(prefix="mlflow-server-")
    # Another user's database stands in it.
    os.chmod(folder, 0o755)
    try:
        with database(folder) as uri:
            server = Server(folder, uri)
            try:
                server.start()
                yield server
            finally:
                server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Proxy:
    """Stands before a server and hands requests through, but for those that `cut` says.

    Attributes:
        url: its address.
        count: how many requests have come since `begin`.
        cut: called with the number of a request and whether the server has answered it; True drops the connection.
    """

    def __init__(self, url: str) -> None:
        self._host = url.partition("://")[2]
        self.count = 0
        self.cut: Callable[[int, bool], bool] = lambda number, answered: False
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True

            def do_GET(self) -> None:
                proxy._hand_through(self)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names are the library's

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = "http://127.0.0.1:%d" % self._server.server_address[1]

    def begin(self, cut: Callable[[int, bool], bool]) -> None:
        """Requests are counted anew, and cut so."""
        with self._lock:
            self.count, self.cut = 0, cut

    def _hand_through(self, handler: Any) -> None:
        with self._lock:
            self.count += 1
            number, cut = self.count, self.cut
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if cut(number, False):
            handler.close_connection = True
            return
        connection = http.client.HTTPConnection(self._host, timeout=60)
        try:
            headers = {name: value for name, value in handler.headers.items() if name.lower() != "host"}
            connection.request(handler.command, handler.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if cut(number, True):
                handler.close_connection = True
                return
            handler.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                    handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)
        finally:
            connection.close()

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join(30)
            self._server.server_close()


def read_all(client: Any, experiment_ids: List[str]) -> Dict[str, Any]:
    """Of every run that was pushed: run id here to all that the server has of it. None is there twice."""
    from mlflow.entities import ViewType

    found: Dict[str, Any] = {}
    for run in client.search_runs(experiment_ids, run_view_type=ViewType.ALL, max_results=1000):
        run_id = run.data.tags["mini_mlflow.run_id"]
        assert run_id not in found, "twice: %s" % run_id
        points = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
        found[run_id] = {
            "id": run.info.run_id,
            "info": (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time, run.info.user_id),
            "stage": run.info.lifecycle_stage,
            "params": dict(run.data.params),
            "tags": dict(run.data.tags),
            "points": {key: sorted((p.step, p.timestamp, repr(p.value)) for p in points[key]) for key in points},
            "inputs": [(one.dataset.to_dictionary(), one.tags) for one in run.inputs.dataset_inputs],
            "artifacts": sorted(_list_artifacts(client, run.info.run_id, None)),
        }
    return found


def _list_artifacts(client: Any, run_id: str, folder: Optional[str]) -> Iterator[Any]:
    for one in client.list_artifacts(run_id, folder):
        if one.is_dir:
            yield from _list_artifacts(client, run_id, one.path)
        else:
            yield one.path, one.file_size
