"""The endpoints of MLflow's server, from its own tables, and those that no tree has to serve: see `rest_asking`.

What is left out has its reason here. It must be refused in an orderly way: with a status that says so, never a crash.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from rest_asking import Caller, Note

#: Method and path, with <names> in it.
Endpoint = Tuple[str, str]

BEYOND: Dict[str, str] = {
    r"/mlflow/gateway(-proxy$|/)": "the AI gateway of a server: keys, budgets and guardrails",
    r"^/gateway/": "the same, as its clients call it",
    r"/mlflow/webhooks": "webhooks of the registry, which is MLflow's own",
    r"/mlflow/scorers?/": "judges of traces, which MLflow keeps in its database",
    r"/mlflow/(label-schemas|review-queues)/": "reviews of traces by people",
    r"/mlflow/issues": "issues found in traces",
    r"/mlflow/datasets/": "evaluation datasets",
    r"/mlflow/prompt-optimization/|/mlflow/genai/|/(mlflow/)?jobs/": "jobs of a server, which need its database",
    r"/mlflow/demo/": "a demonstration, of all of the above",
    r"/mlflow/workspaces": "workspaces, which a server is started with",
    r"/mlflow/mcp-servers": "a registry of MCP servers",
    r"/mlflow/assistant/": "an assistant in the UI, which asks no store",
    r"/mlflow/ui-telemetry$": "what the UI reports to MLflow's makers",
    r"/mlflow/traces/(metrics|calculate-filter-correlation)$": "statistics over the spans in a database",
    r"^/v1/traces$": "spans one by one, for a database; clients store them as artifacts instead",
    r"^/(static-files|build)/": "the UI itself",
}

#: Asks other hosts.
REMOTE = r"/supported-models$"

#: Refused for what was asked, not found, not supported, switched off; or answered by the server itself.
ORDERLY = (200, 204, 400, 401, 403, 404, 405, 412, 422, 501, 503)
#: Where MLflow's handler lets any error of a store through, whatever it is, or answers all other stores so itself.
UNGUARDED = r"/datasets/[^/]+/(experiment-ids|records) |^[A-Z]+ /gateway/"
#: What a field must say for a handler to ask the store at all.
SPECIAL = {
    "status": "pending",
    "severity": "high",
    "resource_type": "scorer",
    "view_type": "TRACES",
    "aggregation_type": "PERCENTILE",
    "metric_name": "trace_count",
}


def flask_endpoints() -> List[Endpoint]:
    """What MLflow's server routes to its handlers; the handlers' own table is part of that."""
    from mlflow.server import app, handlers

    found = [
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]
    table = {(method, path) for path, _, methods in handlers.get_endpoints() for method in methods}
    assert table <= set(found)
    return sorted(set(found))


def fastapi_endpoints() -> List[Endpoint]:
    """What the application around it answers by itself."""
    from mlflow.server.fastapi_app import app

    paths: Dict[str, Any] = app.openapi()["paths"]
    # The names that may have slashes in them, as Flask writes them: the same endpoints are among its own.
    written = {
        path: path.replace("{artifact_path}", "{path:artifact_path}").translate({123: "<", 125: ">"}) for path in paths
    }
    return [(method.upper(), written[path]) for path in paths for method in paths[path]]


def reason(endpoint: Endpoint) -> Optional[str]:
    """Why the endpoint is not asked for; None: it is to be called."""
    return next((why for pattern, why in BEYOND.items() if re.search(pattern, endpoint[1])), None)


def not_called(endpoints: Iterable[Endpoint], called: Iterable[Tuple[str, str]]) -> List[Endpoint]:
    """The endpoints that no call has reached and that have no reason for it."""
    wanted = [one for one in endpoints if reason(one) is None]
    patterns = {one: _pattern(one[1]) for one in wanted}
    reached = set()
    for method, path in set(called):
        fitting = [one for one in wanted if one[0] == method and patterns[one].match(path)]
        # As a router does: a word that is spelled out before a name that takes any.
        reached.update(min(([len(re.findall("<", one[1])), one] for one in fitting), default=[0, None])[1:])
    return [one for one in wanted if one not in reached]


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"<(path:)?\w+>", path)
    text = "".join(
        re.escape(part or "") if number % 2 == 0 else (".+" if part else "[^/]+") for number, part in enumerate(parts)
    )
    return re.compile(text + "$")


def call_beyond(caller: Caller, endpoints: Iterable[Endpoint]) -> None:
    """Each endpoint that has a reason is called, with a body that says something in every field."""
    bodies = dict(_bodies())
    for endpoint in endpoints:
        if reason(endpoint) is not None and not re.search(REMOTE, endpoint[1]):
            method, path = endpoint
            body = bodies.get(endpoint, {})
            filled = re.sub(r"<[^>]+>", "1", path)
            if method == "GET":
                caller.call(
                    method, filled, pairs=[(key, one) for key, one in body.items() if not isinstance(one, dict)]
                )
            else:
                caller.call(method, filled, body)


def crashes(notes: Iterable[Note]) -> List[str]:
    """What was answered by no orderly status, though MLflow's handlers let the store say what is wrong."""
    return [
        "%s: %s %s" % (note.request[:200], note.status, str(note.answer)[:200])
        for note in notes
        if note.status not in ORDERLY and not (note.status == 500 and re.search(UNGUARDED, note.request))
    ]


def _bodies() -> Iterator[Tuple[Endpoint, Dict[str, Any]]]:
    from mlflow.protos import databricks_pb2, service_pb2
    from mlflow.server.handlers import _get_paths

    for method in service_pb2.MlflowService.DESCRIPTOR.methods:
        for endpoint in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
            for path in _get_paths(endpoint.path, version=endpoint.since.major):
                yield (endpoint.method, path), _fill(method.input_type, 3)


def _fill(message: Any, depth: int) -> Dict[str, Any]:
    filled = {}
    for field in message.fields:
        if field.message_type is not None:
            if depth == 0 or field.message_type.full_name.startswith("google."):
                continue
            value: Any = _fill(field.message_type, depth - 1)
        elif field.enum_type is not None:
            value = field.enum_type.values[-1].name
        else:
            value = (
                True if field.cpp_type == field.CPPTYPE_BOOL else "1" if field.cpp_type == field.CPPTYPE_STRING else 1
            )
        value = SPECIAL.get(field.name, value)
        filled[field.name] = [value] if field.is_repeated else value
    return filled
