"""From the command line to the exit status: run the scenarios, judge them, print the report; or a subcommand."""

from __future__ import annotations

import importlib
import random
import signal
import tempfile
import traceback
import warnings
from typing import Any, Dict, List

from mini_mlflow import DamagedFileWarning
from stress.children import CannotRun
from stress.options import Options, parse_options
from stress.progress import Progress
from stress.report import format_json, format_table
from stress.rounds import Outcome, run_scenario
from stress.scenarios import SCENARIOS

HELD, BROKEN, COULD_NOT_RUN, INTERRUPTED = 0, 1, 2, 130

#: The modules whose ``main(arguments)`` does the work of a first word, and returns the exit status.
SUBCOMMANDS: Dict[str, str] = {
    "bench": "stress.bench.measuring",
    "flips": "stress.flips.program",
    "power": "stress.power.program",
    "without": "stress.without.program",
}


def main(arguments: List[str]) -> int:
    """Run what is asked for; the exit status."""
    if arguments and arguments[0] in SUBCOMMANDS:
        status: int = importlib.import_module(SUBCOMMANDS[arguments[0]]).main(arguments[1:])
        return status
    options = parse_options(arguments, list(SCENARIOS), random.randrange(10**6))
    # Nobody damages files here: what is skipped with a warning when it is read back is torn.
    warnings.simplefilter("error", DamagedFileWarning)
    signal.signal(signal.SIGTERM, _interrupt)
    progress = Progress()
    try:
        outcomes = _run_scenarios(options, progress)
    except KeyboardInterrupt:
        progress.say("interrupted; no process is left behind")
        return INTERRUPTED
    except (CannotRun, OSError) as error:
        progress.say(f"stress could not run: {error}")
        return COULD_NOT_RUN
    except Exception:  # noqa: BLE001  (no traceback may end in status 1, which says that a guarantee was broken)
        progress.say(traceback.format_exc())
        return COULD_NOT_RUN
    print(format_json(outcomes, options.seed) if options.json else format_table(outcomes))
    return HELD if all(outcome.held for outcome in outcomes) else BROKEN


def _run_scenarios(options: Options, progress: Progress) -> List[Outcome]:
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="stress-environments-") as temporary:
        for scenario in options.scenarios:
            outcome = run_scenario(scenario, options, options.environments or temporary, progress)
            said = {"PASS": "held", "FAIL": "BROKEN", "SKIPPED": f"skipped: {outcome.skipped}"}[outcome.verdict]
            progress.say(f"{scenario}: {said}, {outcome.seconds:.1f} s")
            outcomes.append(outcome)
    return outcomes


def _interrupt(*_: Any) -> None:
    # So that a SIGTERM too leaves no process behind, and says where the tree is.
    raise KeyboardInterrupt
