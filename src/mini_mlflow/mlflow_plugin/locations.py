"""Where a ``mini-mlflow:`` URI points, and where the artifacts of a tree stand."""

from __future__ import annotations

import os
import re
from typing import Optional
from urllib.parse import unquote

from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import path_to_local_file_uri
from mlflow.utils.uri import append_to_uri_path, resolve_uri_if_local

from mini_mlflow.disk.layout import resolve_root

SCHEME = "mini-mlflow"

_DRIVE = re.compile(r"/[A-Za-z]:")
#: What a server says that was told nothing: its proxy, and the folder that it takes for local artifacts.
_UNTOLD = ("mlflow-artifacts:", "mlflow-artifacts:/", "./mlruns", "./mlartifacts")


def root_of(store_uri: Optional[str]) -> str:
    """The absolute path of the tree that a URI names; of none, or without a path, that of the module's functions.

    Raises:
        MlflowException: another scheme, or no path.
    """
    scheme, colon, rest = (store_uri or SCHEME + ":").partition(":")
    if not colon or scheme.lower() != SCHEME:
        raise MlflowException.invalid_parameter_value(
            "%r is no URI of a tree, such as mini-mlflow:./mlruns" % store_uri
        )
    # "//" begins an authority, and there is none: mini-mlflow://./x is a path as people write it.
    path = unquote(rest[2:] if rest.startswith("//") else rest)
    if os.name == "nt" and _DRIVE.match(path):
        path = path[1:]
    try:
        return resolve_root(path or os.environ.get("MINI_MLFLOW_RUNS_DIR") or "mlruns")
    except ValueError as error:
        raise MlflowException.invalid_parameter_value(str(error)) from None


def default_artifact_root(root: str) -> str:
    """Where the artifacts of a tree's runs stand unless something else is asked for: beside the runs."""
    return str(path_to_local_file_uri(root))


def asked_artifact_root(artifact_uri: Optional[str]) -> Optional[str]:
    """The root that whoever started a server asked for; None if nothing was asked for.

    The proxy is no such place: an experiment that says ``mlflow-artifacts:`` cannot be read without that server.
    """
    if artifact_uri is None or artifact_uri.rstrip("/") in [one.rstrip("/") for one in _UNTOLD]:
        return None
    return str(resolve_uri_if_local(artifact_uri))


def run_artifact_uri(artifact_location: str, run_id: str) -> str:
    """Where the artifacts of a run of an experiment stand."""
    return str(append_to_uri_path(artifact_location, run_id, "artifacts"))
