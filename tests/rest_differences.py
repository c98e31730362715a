"""In what the answers of a server over a tree may differ from those of one over MLflow's database: see `rest_asking`.

Each difference has its reason. One that does not come up any more fails as well: then its line has to go.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Set, Tuple

from mlflow_stores import sql_words
from rest_asking import Note

#: Where our answer is another one: what the request has in it, and why.
ACCEPTED: Dict[str, str] = {
    r"experiments/delete \{'experiment_id': '0'\}": "MLflow's file store keeps the default experiment as well",
    r"runs/create .*\[\{'value': 'a'\}\]": "a tag has a name",
    r"runs/search .*'filter': \"datasets?\.": "a search tells of model inputs too, as MLflow's file store does",
    r"logged-models .*'name': 'a', 'params'": "names and values of params have the limits that those of runs have",
    r"logged-models/[^/]+/params .*'kkkkk": "names of params have the limits that those of runs have",
    r"logged-models/[^/]+/(tags|params) .*'key': ''": "a tag, or a param, has a name",
    r"logged-models/search .*\"status = 'READY'\"": "the status is compared by its name, not by its number",
    r"logged-models/search .*'(nothing|params\.depth)'": "the words of MLflow's own search in memory",
    r"logged-models/search .*('ascending': True\}\]|'one' OR|name > 'a')": "what MLflow's search in memory takes",
    r"logged-models/search .*params\.depth = 3": "a text is quoted, as in a search for runs",
    r"logged-models/search .*'max_results': -1": "there are no fewer than no results",
    r"logged-models/search .*'datasets': \[\{'dataset_name': 'd'\}\]": "without a digest, any digest is meant",
    r"PATCH .*logged-models/[^/]+/tags .*'value': 'b'": "a deleted model takes no tags, as a deleted run",
    r"3\.0/mlflow/traces .*'more': '1'": "the answer says what is stored now",
    r"get-trace-artifact request_id=<tr-id [\d.]+>$": "a trace without its spans is shown without them",
    r"(DELETE .*traces/<tr-id [\d.]+>/tags|GET .*/assessments/)": "no trace is told of in the same words everywhere",
    r"/server-info ": "the server knows the kinds of MLflow's own stores alone",
    r"traces/search .*timestamp_ms > 'x'": "a number is compared to numbers",
}


def compare(ours: List[Note], theirs: List[Note]) -> Tuple[List[str], Set[str]]:
    """The differences that have no reason, a few lines each; and the patterns of `ACCEPTED` that came up."""
    assert [one.request for one in ours] == [one.request for one in theirs]
    found, used = [], set()
    for one, other in zip(ours, theirs):
        if (one.status == other.status and _without_file_store(one.answer) == other.answer) or _is_cleaner(one, other):
            continue
        fitting = [pattern for pattern in ACCEPTED if re.search(pattern, one.request)]
        used.update(fitting)
        # Whatever it is, it is no crash.
        if not fitting or one.status == 500:
            found.append("%s\n   ours: %s %s\n theirs: %s %s" % (one.request[:300], *_brief(one), *_brief(other)))
    return found, used


def _without_file_store(answer: Any) -> Any:
    """The answer, its messages in the words of the SQL store alone."""
    if isinstance(answer, dict) and isinstance(answer.get("message"), str):
        return dict(answer, message=sql_words(answer["message"]))
    if isinstance(answer, dict) and isinstance(answer.get("errors"), list):
        return dict(answer, errors=[sql_words(str(one)) for one in answer["errors"]])
    return answer


def _is_cleaner(ours: Note, theirs: Note) -> bool:
    """Theirs is a crash, or what their database said of a broken constraint, and ours an answer."""
    if theirs.status == 500:
        return ours.status in (200, 400, 404, 501)
    said = str(theirs.answer.get("message")) if isinstance(theirs.answer, dict) else ""
    return theirs.status == 400 and "(sqlite3." in said and ours.status in (200, 400, 404)


def _brief(note: Note) -> Tuple[int, str]:
    return note.status, json.dumps(note.answer, sort_keys=True)[:700]
