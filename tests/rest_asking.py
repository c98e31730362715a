"""Bare HTTP requests to MLflow's server, and its answers made comparable between two stores.

A script is a function of a `Caller`: it sends requests and reads ids out of the answers. The caller notes each request
with its status and answer. What two stores draw for themselves (ids, times of now, places on disk) is replaced by the
order in which it came up, so what two callers noted of one script must be equal.
"""

from __future__ import annotations

import datetime
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple

Json = Any
#: Sends method, path with query, body and headers; gives status, content type and the bytes of the answer.
Send = Callable[[str, str, Optional[bytes], Dict[str, str]], Tuple[int, str, bytes]]

_ID = re.compile(r"\b((?:m-|tr-|a-)?)[0-9a-f]{32}\b")
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
#: What MLflow calls a thing without a name: bold-mouse-17.
_DRAWN_NAME = re.compile(r"\b[a-z]+-[a-z]+-\d{1,3}\b")
_TIME = re.compile(r"\b1[5-9]\d{11}\b")
#: What MLflow's store appends to its own words.
_DATABASE = re.compile(r" Error: \(sqlite3\.[\s\S]*$")
#: Metadata that MLflow's store adds to traces, for itself.
_MARK = "mlflow.trace.infoFinalized"
#: A database has no infinities; this is what MLflow's store keeps and tells instead.
LARGEST = {1.7976931348623157e308: "Infinity", -1.7976931348623157e308: "-Infinity"}
_ISO = re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?")
_WORDS = re.compile(r"(?<=\{)'[^'{}]+'(?:, '[^'{}]+')+(?=\})")
_MINUTE_MS = 60_000
OLD_MS = 1_600_000_000_000
NO_RUN = "0" * 32
#: Lists that say what there is, and nothing by their order.
_SETS = (
    "assessments",
    "params",
    "tags",
    "aliases",
    "request_metadata",
    "dataset_inputs",
    "model_inputs",
    "model_outputs",
)


class Note(NamedTuple):
    """A request, and what was answered: the status, and the answer with what differs made equal."""

    request: str
    status: int
    answer: Json


def over_http(url: str) -> Send:
    """Requests to a live server."""

    def send(method: str, path: str, body: Optional[bytes], headers: Dict[str, str]) -> Tuple[int, str, bytes]:
        request = urllib.request.Request(url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers.get_content_type(), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get_content_type(), error.read()

    return send


class Caller:
    """Calls one server.

    Args:
        send: how.
        places: what stands at the beginning of its URIs and paths, and its like on each server; longer ones first.

    Attributes:
        notes: all requests so far, with their answers.
        called: method and path of each, without the query.
    """

    def __init__(self, send: Send, places: Iterable[Tuple[str, str]]) -> None:
        self.notes: List[Note] = []
        self.called: List[Tuple[str, str]] = []
        self._send = send
        self._places = list(places)
        self._ids: Dict[str, str] = {}
        self._new_ids = 0
        self._began_ms = int(time.time() * 1000) - _MINUTE_MS
        self._counts: Dict[Tuple[str, str], int] = {}

    def get(self, endpoint: str, *pairs: Tuple[str, Any], **query: Any) -> Json:
        """The answer; of pairs, names may come up several times."""
        return self.call("GET", endpoint, pairs=[*pairs, *query.items()])

    def post(self, endpoint: str, **body: Any) -> Json:
        return self.call("POST", endpoint, body)

    def patch(self, endpoint: str, **body: Any) -> Json:
        return self.call("PATCH", endpoint, body)

    def delete(self, endpoint: str, **body: Any) -> Json:
        return self.call("DELETE", endpoint, body)

    def call(self, method: str, endpoint: str, body: Json = None, pairs: Iterable[Tuple[str, Any]] = ()) -> Json:
        """The answer, as it came.

        Args:
            endpoint: with a leading slash the whole one; else that below ``/api/2.0/mlflow`` or, of ``3.0/traces``,
                below ``/api/3.0/mlflow``. The second time, and each other time after, it goes to the UI's name of the
                same endpoint, below ``/ajax-api``.
            body: bytes are sent as they are, anything else as JSON; None: nothing.
        """
        headers = {} if body is None or isinstance(body, bytes) else {"Content-Type": "application/json"}
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode("utf-8")
        whole = self._settle(method, endpoint)
        query = urllib.parse.urlencode(list(pairs), doseq=True)
        self.called.append((method, whole))
        status, kind, data = self._send(method, whole + ("?" + query if query else ""), sent, headers)
        answer = _read(kind, data)
        self._new_ids = 0
        asked = "%s %s %s" % (method, whole, body if query == "" else urllib.parse.unquote_plus(query))
        self.notes.append(Note(self.tame(asked[:500]), status, self.tame(answer)))
        return answer

    def _settle(self, method: str, endpoint: str) -> str:
        if endpoint.startswith("/"):
            return endpoint
        version, _, rest = endpoint.partition("/") if endpoint.startswith("3.0/") else ("2.0", "", endpoint)
        # By the shape of the path: a run of its own is no endpoint of its own.
        shape = (method, version + _ID.sub("", re.sub(r"/(?:m-|tr-|a-|d-|n-)[^/]+", "/_", rest)))
        self._counts[shape] = self._counts.get(shape, 0) + 1
        return "/%s/%s/mlflow/%s" % ("api" if self._counts[shape] % 2 else "ajax-api", version, rest)

    # -- what differs, made equal --------------------------------------------------------------------------------

    def tame(self, value: Json, name: str = "", parent: str = "") -> Json:
        if isinstance(value, dict) and value.get("name") == "Default":
            # There before anything is stored, and so without the times of when it was made.
            value = {key: one for key, one in value.items() if not key.endswith("_time")}
        if isinstance(value, dict):
            return {key: self.tame(one, key, name) for key, one in value.items() if key != _MARK}
        if isinstance(value, list):
            told = [self.tame(one, name, parent) for one in value if not _is_mark(one)]
            # By their new names: what a store drew has an order of its own.
            is_set = name in _SETS or (name == "metrics" and parent == "data")
            return sorted(told, key=lambda one: json.dumps(one, sort_keys=True)) if is_set else told
        if isinstance(value, str):
            return self._tame_text(value)
        if isinstance(value, int) and self._is_now(value):
            return "<now>"
        return LARGEST.get(value, value) if isinstance(value, float) else value

    def _tame_text(self, text: str) -> str:
        for place, like in self._places:
            text = text.replace(place, like)
        # What MLflow lists out of a set comes in another order in each process.
        text = _WORDS.sub(lambda found: ", ".join(sorted(found.group().split(", "))), text)
        text = _DATABASE.sub("", text)
        text = _DRAWN_NAME.sub("<name>", text)
        text = _UUID.sub(self._name, _ID.sub(self._name, text))
        text = _ISO.sub(lambda found: "<now>" if self._is_now(_to_ms(found.group())) else found.group(), text)
        return _TIME.sub(lambda found: "<now>" if self._is_now(int(found.group())) else found.group(), text)

    def _name(self, found: re.Match[str]) -> str:
        prefix = found.group(1) if found.re is _ID else "uuid-"
        # By the request that brought it: an id that one server alone tells of does not rename all that come after it.
        known = self._ids.get(found.group())
        if known is None:
            self._new_ids += 1
            known = self._ids[found.group()] = "<%sid %d.%d>" % (prefix, len(self.notes), self._new_ids)
        return known

    def _is_now(self, number: int) -> bool:
        return not isinstance(number, bool) and self._began_ms <= number <= int(time.time() * 1000) + _MINUTE_MS


def make_experiment(caller: Caller, name: str) -> str:
    return str(caller.post("experiments/create", name=name)["experiment_id"])


def make_run(caller: Caller, experiment_id: str, name: str, start_ms: int = OLD_MS) -> str:
    made = caller.post(
        "runs/create",
        experiment_id=experiment_id,
        run_name=name,
        start_time=start_ms,
        user_id="ann",
        tags=[{"key": "kind", "value": name}],
    )
    return str(made["run"]["info"]["run_id"])


def _is_mark(value: Json) -> bool:
    return isinstance(value, dict) and value.get("key") == _MARK


def _to_ms(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text.rstrip("Z") + "+00:00").timestamp() * 1000)


def _read(kind: str, data: bytes) -> Json:
    text = data.decode("utf-8", "replace")
    if kind == "text/html" or text.lstrip().startswith(("<!", "<html")):
        # A page of the UI, or what the framework says of an error.
        return "<page>"
    try:
        return json.loads(text)
    except ValueError:
        return text
