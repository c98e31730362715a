"""Processes that use MLflow with our entry points, which are there as if this package were installed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Optional

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def entry_points() -> str:
    """The entry points of pyproject.toml, as an installation has them."""
    with open(os.path.join(ROOT, "pyproject.toml"), encoding="utf-8") as file:
        sections = re.findall(r'^\[project\.entry-points\."(.+?)"\]\n((?:[\w-]+ = ".+"\n)+)', file.read(), re.M)
    return "".join("[%s]\n%s\n" % (name, lines.replace('"', "")) for name, lines in sections)


def install(folder: str) -> Dict[str, Optional[str]]:
    """What the environment of a child needs to find the entry points, and to leave the network alone."""
    place = os.path.join(folder, "site", "mini_mlflow_under_test-0.dist-info")
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, "METADATA"), "w", encoding="utf-8") as file:
        file.write("Metadata-Version: 2.1\nName: mini-mlflow-under-test\nVersion: 0\n")
    with open(os.path.join(place, "entry_points.txt"), "w", encoding="utf-8") as file:
        file.write(entry_points())
    return {
        "PYTHONPATH": os.pathsep.join([os.path.dirname(place), os.path.join(ROOT, "src")]),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_TRACKING_URI": None,
        "MLFLOW_REGISTRY_URI": None,
    }


class Server:
    """A running ``mlflow server``."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str) -> Any:
        """The JSON answer of an endpoint of MLflow's REST interface."""
        return self._ask(urllib.request.Request(self.url + "/api/2.0/mlflow/" + path))

    def post(self, path: str, body: Any) -> Any:
        """The same, of a call with a body."""
        headers = {"Content-Type": "application/json"}
        data = json.dumps(body).encode("utf-8")
        return self._ask(urllib.request.Request(self.url + "/api/2.0/mlflow/" + path, data, headers))

    def _ask(self, request: urllib.request.Request) -> Any:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def is_up(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@contextmanager
def started_server(uri: str, folder: Path, *options: str) -> Iterator[Server]:
    """``mlflow server`` on the store, on this host alone, up at the start of the block and gone at its end."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, **{key: value for key, value in install(str(folder / "site")).items() if value}}
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--workers", "2"]
    command += ["--host", "127.0.0.1", "--port", str(port), *options]
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            server = Server("http://127.0.0.1:%d" % port)
            deadline = time.monotonic() + 100.0
            while not server.is_up():
                assert process.poll() is None, (folder / "server.log").read_text("utf-8")
                assert time.monotonic() < deadline, "the server did not come up"
                # Not to order anything: MLflow's server does not say when it is up.
                time.sleep(0.2)
            yield server
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
