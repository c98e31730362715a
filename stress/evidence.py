"""What a scenario saw: values only, so that a test can doctor them and see each guarantee notice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Counter as CounterType
from typing import Dict, List, Optional, Tuple

from stress.artifacts import Hashes
from stress.plan import Call
from stress.recording import Hold

#: The points of one metric: step and value, in the order of the history.
History = List[Tuple[int, float]]
#: The histories of one run, by key.
Histories = Dict[str, History]


@dataclass
class ThreadRecord:
    """What one thread acknowledged on one run, in its order, and the call that it may have been killed in."""

    writer: int
    thread: int
    points: Dict[str, List[float]] = field(default_factory=dict)
    params: Dict[str, float] = field(default_factory=dict)
    artifacts: Hashes = field(default_factory=dict)
    under_way: Optional[Call] = None


@dataclass
class RunRecord:
    """One run: what was acknowledged, and what the tree says afterwards."""

    run_id: str
    threads: List[ThreadRecord]
    histories: Histories
    last_values: Dict[str, float]
    params: Dict[str, object]
    status: str
    artifacts: Hashes = field(default_factory=dict)
    #: The statuses that it may read with: more than one where it was killed while it ended.
    statuses_told: Tuple[str, ...] = ("FINISHED",)
    #: The status that readers saw when every writer had been killed; None where none was.
    status_when_killed: Optional[str] = None
    #: The visible points, if the run was rewound; then ``histories`` have the hidden ones too.
    shown: Optional[Histories] = None
    #: Of a run with one writer at a time: each writer, and the step that it rewound the run to before it logged.
    rewinds: List[Tuple[int, int]] = field(default_factory=list)


@dataclass
class WriterRecord:
    """One writing process: what went wrong in it, and if it got to its end, its open descriptors before and after."""

    name: str
    errors: List[str] = field(default_factory=list)
    descriptors_before: Optional[int] = None
    descriptors_after: Optional[int] = None


@dataclass
class ReaderRecord:
    """One reading process: what it saw go wrong at once, and what it had seen last of each run."""

    reads: int = 0
    errors: List[str] = field(default_factory=list)
    shrunk: List[str] = field(default_factory=list)
    unseen: List[str] = field(default_factory=list)
    torn: List[str] = field(default_factory=list)
    #: Runs that read as CRASHED though nobody had died.
    declared_dead: List[str] = field(default_factory=list)
    sights: Dict[str, Histories] = field(default_factory=dict)


@dataclass
class Evidence:
    """All that one scenario gathered."""

    seconds: float = 0.0
    runs: List[RunRecord] = field(default_factory=list)
    listed: List[str] = field(default_factory=list)
    writers: List[WriterRecord] = field(default_factory=list)
    readers: List[ReaderRecord] = field(default_factory=list)
    forks: Dict[int, str] = field(default_factory=dict)
    reading_errors: List[str] = field(default_factory=list)
    litter: List[str] = field(default_factory=list)
    #: What `mini_mlflow.upkeep.verify` finds wrong; where writers were killed, less what they may leave.
    findings: List[str] = field(default_factory=list)
    #: By name, the ids that processes were given for it.
    experiments: Dict[str, List[int]] = field(default_factory=dict)
    kills: int = 0
    #: By lock file, the times for which threads certainly held it.
    holds: Dict[str, List[Hold]] = field(default_factory=dict)
    commits: int = 0
    changes: int = 0
    #: How many acknowledged calls took so many nanoseconds, to three digits.
    durations_ns: CounterType[int] = field(default_factory=Counter)
    #: What else the report should say.
    notes: List[str] = field(default_factory=list)
    #: The longest that the first call of a writer took, after another one had been killed.
    entry_ns: List[int] = field(default_factory=list)
