"""One life of a run that is preempted again and again: ``python -m stress.preempted '<work as JSON>'``, or a fork.

It resumes the run, rewinds it to a checkpoint, and logs on from there: each of its threads a point a step, one step
after the other, until it is killed or its time is up; then it ends the run. Every value says which life logged it, and
for which step.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict

from mini_mlflow import ExperimentTracker
from stress.place import Place
from stress.points import encode
from stress.writer import Work, Writer, set_up, together

#: Keys that a thread logs to, in one call.
KEYS = ("own-a%d", "own-b%d")


def plan(life: int, thread: int, step: int) -> Dict[str, float]:
    """The points that a thread logs for a step."""
    return dict.fromkeys((key % thread for key in KEYS), encode(life, thread, step))


def live(work: Work, checkpoint: int) -> None:
    """One life."""
    writer = Writer(work)
    deadline = time.monotonic() + work.seconds
    with writer.noting_errors("main"):
        run_id = str(work.run_id)
        done = [writer.acknowledgements(run_id, thread) for thread in range(work.threads)]
        run = ExperimentTracker(runs_dir=str(Place(Path(work.folder)).tree)).start_run(run_id=run_id)
        run.rewind(checkpoint)

        def log(thread: int) -> Callable[[], None]:
            def log_all() -> None:
                with writer.noting_errors(str(thread)):
                    step = checkpoint
                    while step < checkpoint + work.calls or time.monotonic() < deadline:
                        step += 1
                        begun = time.perf_counter_ns()
                        # Every other life leaves the step out, which must come to the same.
                        run.log_metrics(plan(work.writer, thread, step), step=step if work.writer % 2 else None)
                        done[thread].acknowledge(step - checkpoint - 1, time.perf_counter_ns() - begun)

            return log_all

        together([log(thread) for thread in range(work.threads)])
        run.end()
    writer.report((None, None))


def main(work: Dict[str, Any]) -> None:
    set_up(work["folder"])
    checkpoint = work.pop("checkpoint")
    live(Work(**work), checkpoint)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
