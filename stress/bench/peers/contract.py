"""What an adapter offers: facts about the peer, and a few calls that do the same for each of them."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

#: Workloads that a peer may be unable to do; its ``cannot`` says why.
ONE, TEN, THREADS, PROCESSES, SHARED, READ, KILL = "one", "ten", "threads", "processes", "shared", "read", "kill"


class Peer:
    """One tracker with its store in one folder, used as its own documentation recommends.

    A run is whatever the peer has for it; each method that logs is called from many threads at once.

    Attributes:
        label: the name in tables.
        environment: the virtual environment it needs; peers of one package share one. Empty: this interpreter's.
        requirements: what pip installs into it.
        settings: environment variables: offline, telemetry off.
        imports: the statement that users write.
        cannot: workload to the reason why it cannot be done, in a few words.
        keeps_history: False where only the last value of a metric can be read back.
        queues: True where a call returns before its value has left the process.
    """

    label = ""
    environment = ""
    requirements: Tuple[str, ...] = ()
    settings: Mapping[str, str] = {}
    imports = ""
    cannot: Mapping[str, str] = {}
    keeps_history = True
    queues = False

    def __init__(self, folder: str) -> None:
        """Import the peer and have it store below the folder, which exists."""
        raise NotImplementedError

    def start(self, params: Dict[str, Any]) -> Any:
        """A new run that has these params, logged with a call each where there is such a call."""
        raise NotImplementedError

    def name(self, run: Any) -> str:
        """What another process finds the run by."""
        raise NotImplementedError

    def attach(self, name: str) -> Any:
        """The run of another process, to log to together with it."""
        raise NotImplementedError

    def leave(self, run: Any) -> None:
        """What was logged through an attached run is stored; the run itself stays open."""

    def log_metric(self, run: Any, key: str, value: float, step: int) -> None:
        """One point of one metric."""
        raise NotImplementedError

    def log_metrics(self, run: Any, values: Dict[str, float], step: int) -> None:
        """A point of each of several metrics, in one call where there is one."""
        for key, value in values.items():
            self.log_metric(run, key, value, step)

    def end(self, run: Any) -> None:
        """The run is finished, and all of it stored."""
        raise NotImplementedError

    def prepare_reading(self) -> None:
        """What has to be run once before runs can be found; not part of the time of a read."""

    def names(self) -> List[str]:
        """All runs that can be found."""
        raise NotImplementedError

    def read(self, name: str) -> Dict[str, Dict[str, Any]]:
        """``params`` and ``metrics`` (last values) of a run."""
        raise NotImplementedError

    def points(self, name: str, key: str) -> List[float]:
        """The values of one metric that can be read back; none where the run cannot be read."""
        raise NotImplementedError
