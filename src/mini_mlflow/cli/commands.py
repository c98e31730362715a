"""The commands, in the order of the help."""

from __future__ import annotations

from mini_mlflow.cli.amending import RENAME, TAG
from mini_mlflow.cli.artifacts import ARTIFACTS, LOG_ARTIFACT
from mini_mlflow.cli.comparing import COMPARE
from mini_mlflow.cli.completion import COMPLETION
from mini_mlflow.cli.experiments import EXPERIMENTS
from mini_mlflow.cli.exporting import EXPORT
from mini_mlflow.cli.history import HISTORY
from mini_mlflow.cli.importing import IMPORT
from mini_mlflow.cli.mending import DOCTOR, REPAIR
from mini_mlflow.cli.pushing import PUSH
from mini_mlflow.cli.searching import BEST, LS
from mini_mlflow.cli.showing import SHOW
from mini_mlflow.cli.trash import DELETE, GC, RESTORE
from mini_mlflow.cli.verifying import VERIFY
from mini_mlflow.cli.watching import WATCH

COMMANDS = (
    *(LS, SHOW, BEST, COMPARE, HISTORY, WATCH, EXPERIMENTS, EXPORT, IMPORT),
    *(ARTIFACTS, LOG_ARTIFACT, TAG, RENAME, PUSH),
    *(DELETE, RESTORE, GC, VERIFY, REPAIR, DOCTOR, COMPLETION),
)
