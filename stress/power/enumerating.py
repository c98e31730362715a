"""The states of a recording, one after another: first all that differ in one thing, then in more."""

from __future__ import annotations

import random
from typing import Dict, Iterator, List, Set, Tuple

from stress.power.recorded_disk import RecordedDisk
from stress.power.states import EXTREMES, KEPT, LOST, Moment, State, Tree


class Enumeration:
    """The states of one recording, in the order in which they are worth trying; without end, the last ones drawn."""

    def __init__(self, disk: RecordedDisk, seed: int) -> None:
        self._disk = disk
        self._dice = random.Random(seed)
        self._moments: Dict[int, Moment] = {}

    def moment(self, cut: int) -> Moment:
        """What is open after that step."""
        if cut not in self._moments:
            self._moments[cut] = Moment(self._disk, cut)
        return self._moments[cut]

    def around(self, cut: int) -> List[State]:
        """The extremes at a cut, and all that differ from "all kept" or from "only what was synced" in one answer."""
        singles = [state for base in (KEPT, LOST) for state in self.moment(cut).singles(base)]
        return [State(cut, base) for base in EXTREMES] + singles

    def _cuts(self) -> List[int]:
        cuts = list(range(self._disk.step + 1))
        self._dice.shuffle(cuts)
        return cuts

    def __iter__(self) -> Iterator[State]:
        # The last step first: what was promised by then is the most.
        yield from (State(self._disk.step, base) for base in EXTREMES)
        # One of each cut in turn, so that an enumeration that is cut short has been everywhere.
        yield from self._in_turn({cut: self._shuffled(cut) for cut in self._cuts()})
        yield from self._in_turn({cut: self._shuffled_pairs(cut) for cut in self._cuts()})
        while True:
            yield self.moment(self._dice.randrange(self._disk.step + 1)).draw(self._dice)

    def _shuffled(self, cut: int) -> Iterator[State]:
        states = self.around(cut)
        self._dice.shuffle(states)
        yield from states

    def _shuffled_pairs(self, cut: int) -> Iterator[State]:
        states = [state for base in (KEPT, LOST) for state in self.moment(cut).pairs(base, self._dice)]
        self._dice.shuffle(states)
        yield from states

    @staticmethod
    def _in_turn(iterators: Dict[int, Iterator[State]]) -> Iterator[State]:
        while iterators:
            for cut in list(iterators):
                state = next(iterators[cut], None)
                if state is None:
                    del iterators[cut]
                else:
                    yield state


class Seen:
    """Which states have been met before, by their content and what is asked of it."""

    def __init__(self) -> None:
        self._keys: Set[int] = set()

    def is_new(self, tree: Tree, asked: Tuple[int, ...]) -> bool:
        """True the first time."""
        key = hash((frozenset(tree.items()), asked))
        if key in self._keys:
            return False
        self._keys.add(key)
        return True
