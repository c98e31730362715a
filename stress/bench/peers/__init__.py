"""What people use today, each behind one small adapter, so that the bench gives all of them the same work.

An adapter is imported twice: by the bench, for what it says about the peer, and by the process that does the work, in
an environment that has the peer and not us. So it imports the peer inside its methods, and of this package the contract
alone.
"""

from __future__ import annotations

import importlib
from typing import Dict, Type

from stress.bench.peers.contract import Peer

OURS = "mini-mlflow"
#: Names on the command line, and the modules of their adapters.
ADAPTERS: Dict[str, str] = {
    OURS: "stress.bench.peers.this_version",
    "mini-mlflow-0.1.0": "stress.bench.peers.first_version",
    "mlflow-file": "stress.bench.peers.mlflow_file",
    "mlflow-sqlite": "stress.bench.peers.mlflow_sqlite",
    "trackio": "stress.bench.peers.trackio_local",
    "wandb": "stress.bench.peers.wandb_offline",
    "tensorboardx": "stress.bench.peers.tensorboardx",
    "dvclive": "stress.bench.peers.dvclive_folders",
    "sacred": "stress.bench.peers.sacred_files",
    "aim": "stress.bench.peers.aim_repo",
}


def load(name: str) -> Type[Peer]:
    """The adapter of that name; a name that is not in the list is the path of a module.

    Raises:
        ImportError: there is no such module.
    """
    adapter: Type[Peer] = importlib.import_module(ADAPTERS.get(name, name)).Adapter
    return adapter
