"""From the command line to the exit status: run the scenarios, judge them, print the report; or measure."""

from __future__ import annotations

import random
import traceback
import warnings
from typing import List

from mini_mlflow import DamagedFileWarning
from stress.bench import measuring
from stress.children import CannotRun
from stress.options import parse_options
from stress.power import program as power
from stress.progress import Progress
from stress.report import format_json, format_table
from stress.rounds import run_scenario
from stress.scenarios import SCENARIOS

HELD, BROKEN, COULD_NOT_RUN = 0, 1, 2


def main(arguments: List[str]) -> int:
    """Run what is asked for; the exit status."""
    if arguments[:1] == ["bench"]:
        return measuring.main(arguments[1:])
    if arguments[:1] == ["power"]:
        return power.main(arguments[1:])
    options = parse_options(arguments, list(SCENARIOS), random.randrange(10**6))
    # Nobody damages files here: what is skipped with a warning when it is read back is torn.
    warnings.simplefilter("error", DamagedFileWarning)
    progress = Progress()
    outcomes = []
    try:
        for scenario in options.scenarios:
            outcome = run_scenario(scenario, options, progress)
            progress.say(f"{scenario}: {'held' if outcome.held else 'BROKEN'}, {outcome.seconds:.1f} s")
            outcomes.append(outcome)
    except (CannotRun, OSError) as error:
        progress.say(f"stress could not run: {error}")
        return COULD_NOT_RUN
    except Exception:  # noqa: BLE001  (no traceback may end in status 1, which says that a guarantee was broken)
        progress.say(traceback.format_exc())
        return COULD_NOT_RUN
    print(format_json(outcomes, options.seed) if options.json else format_table(outcomes))
    return HELD if all(outcome.held for outcome in outcomes) else BROKEN
