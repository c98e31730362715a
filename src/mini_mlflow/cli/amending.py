"""``tag`` and ``rename``: what is noted of a run afterwards, also of one that has ended."""

from __future__ import annotations

import argparse
from typing import Any, Dict, Optional

from mini_mlflow.cli.addressing import find_run
from mini_mlflow.cli.command import Command, Request, UsageError, add_experiments, add_run
from mini_mlflow.cli.exit_codes import DONE
from mini_mlflow.cli.text import printable


def _add_tag(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("tags", metavar="KEY=VALUE", nargs="*", help="set this tag; its value is a text")
    deletes = "delete this tag; may be given several times"
    parser.add_argument("-d", "--delete", action="append", default=[], metavar="KEY", help=deletes)
    add_experiments(parser)


def _tag(request: Request) -> int:
    from mini_mlflow.disk.keys import check_key
    from mini_mlflow.writing.operations import batch_submission

    tags: Dict[str, str] = {}
    for text in request.arguments.tags:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError("a tag is set as KEY=VALUE, not %r; --delete deletes one" % text)
        tags[check_key(key, "tag key")] = value
    deleted = list(dict.fromkeys(request.arguments.delete))
    if not tags and not deleted:
        raise UsageError("nothing to do: give KEY=VALUE or --delete KEY")
    return _amend(request, "tagged", batch_submission(tags=tags, deleted_tags=deleted))


def _add_rename(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("name", metavar="NAME", help="the new name")
    add_experiments(parser)


def _rename(request: Request) -> int:
    from mini_mlflow.disk.keys import check_text

    return _amend(request, "renamed", None, {"name": check_text(request.arguments.name, "name")})


def _amend(request: Request, done: str, submission: Any, meta: Optional[Dict[str, Any]] = None) -> int:
    from mini_mlflow.entities import resolve_settings
    from mini_mlflow.writing.amending import amend_at

    address = find_run(request, request.arguments.run).address
    amend_at(address, resolve_settings(), submission, meta or {})
    if request.as_json:
        request.write_json({"run_id": address.run_id, "experiment_id": address.experiment_id, "done": done})
    else:
        request.output.line(printable("%s %s in experiment %d" % (done, address.run_id, address.experiment_id)))
    return DONE


TAG = Command(
    "tag",
    "set and delete tags of a run, open or ended",
    "mini-mlflow tag 3f2a stage=final --delete draft",
    _add_tag,
    _tag,
)
RENAME = Command(
    "rename",
    "give a run another name",
    "mini-mlflow rename 3f2a baseline-2",
    _add_rename,
    _rename,
)
