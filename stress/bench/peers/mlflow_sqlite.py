"""MLflow with its default store, a SQLite database."""

from __future__ import annotations

from stress.bench.peers import mlflow_file


class Adapter(mlflow_file.Adapter):
    """The same client on ``sqlite:///``, the default since 3.7.

    https://mlflow.org/docs/latest/self-hosting/architecture/backend-store
    """

    label = "MLflow, SQLite"

    def uri(self, folder: str) -> str:
        return f"sqlite:///{folder}/mlflow.db"
