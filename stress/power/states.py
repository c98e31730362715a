"""What may be left of a recorded tree when the power goes: its states.

For a cut after a step, a `Moment` lists what is open then, as questions: what a file's bytes are, what a name points
at. Each has its answers in order, the most careless file system's first and "nothing was lost" last. A state is a way
to answer all of them: one of four extremes, and what deviates from it. Temporaries are one question for all: nobody
reads them.
"""

from __future__ import annotations

import os
import random
from typing import Dict, List, NamedTuple, Optional, Tuple

from mini_mlflow.disk.keys import TEMPORARY_PREFIX
from stress.power.journeys import Journey, Journeys
from stress.power.recorded_disk import Inode, RecordedDisk

#: Path below the base to bytes; None for a folder.
Tree = Dict[str, Optional[bytes]]

KEPT, LOST, NAMES_ONLY, BYTES_ONLY = "kept", "lost", "names", "bytes"
EXTREMES = (KEPT, LOST, NAMES_ONLY, BYTES_ONLY)
#: Pairs are tried out at a cut as long as there are not more; of more, as many are drawn.
MOST_PAIRS = 300


class State(NamedTuple):
    """A state of a recording, as the command line takes it.

    Attributes:
        cut: the last step that was done.
        base: one of `EXTREMES`: all is kept; only what was synced; un-synced names but no bytes; the reverse.
        deviations: (question, answer) where it differs from its base, by their numbers.
    """

    cut: int
    base: str
    deviations: Tuple[Tuple[int, int], ...] = ()

    def __str__(self) -> str:
        return ":".join([str(self.cut), self.base, ",".join("%d=%d" % pair for pair in self.deviations)])

    @classmethod
    def parse(cls, text: str) -> State:
        """The state that was printed so. Raises ValueError."""
        cut, base, deviations = text.split(":")
        if base not in EXTREMES:
            raise ValueError(f"{base!r} is none of {', '.join(EXTREMES)}")
        pairs = [pair.split("=") for pair in deviations.split(",") if pair]
        return cls(int(cut), base, tuple((int(question), int(answer)) for question, answer in pairs))


class Question(NamedTuple):
    """Something that the power cut decides: ``told`` are its answers for people, the most careless one first."""

    path: str
    is_name: bool
    told: Tuple[str, ...]


class Moment:
    """All that is open when the power goes after a step."""

    def __init__(self, disk: RecordedDisk, cut: int) -> None:
        self.cut = cut
        self.questions: List[Question] = [Question("temporaries", True, ("none", "all", "as they were"))]
        self._root = disk.root
        # Folder to its names, each with the question that settles what it points at (-1: none does) and the answers.
        self._names: Dict[int, List[Tuple[str, int, List[Optional[Inode]]]]] = {}
        self._bytes: Dict[int, Tuple[int, List[bytes]]] = {}
        self._journeys = Journeys(disk.moves, cut)
        self._explore(disk.root, "")

    def _explore(self, inode: Inode, path: str) -> None:
        if inode.entries is None:
            if id(inode) not in self._bytes:
                contents = _possible_contents(inode, self.cut)
                number = self._ask(path, False, tuple(_tell(content) for content in contents))
                self._bytes[id(inode)] = number, contents
            return
        if id(inode) in self._names:
            return
        names = self._names[id(inode)] = []
        # Temporaries last: a file is told of by the name that it was made for.
        for name, events in sorted(inode.entries.items(), key=lambda entry: (_is_temporary(entry[0]), entry[0])):
            safe, later = inode.since_sync(events, self.cut, self._journeys.kept_up_to(inode, name))
            answers = _without_repeats([safe, *(value for _, value in later)])
            inner = os.path.join(path, name)
            journey = self._journeys.find(inode, name, [step for step, _ in later])
            if journey is not None and not _is_temporary(name):
                answers = journey.answers(safe, later)
                number = self._ask_journey(journey, inner)
            elif _is_temporary(name):
                last = next((one for one in reversed(answers) if one is not None), None)
                number, answers = 0, [None, last, answers[-1]]
            else:
                number = self._ask(inner, True, tuple("absent" if one is None else "there" for one in answers))
            names.append((name, number, answers))
            for found in answers:
                if found is not None:
                    self._explore(found, inner)

    def _ask_journey(self, journey: Journey, path: str) -> int:
        if journey.question < 0:
            told = ["renamed %d times" % times for times in range(len(journey.steps) + 1)]
            journey.question = self._ask(path, True, ("not made yet", *told))
        return journey.question

    def _ask(self, path: str, is_name: bool, told: Tuple[str, ...]) -> int:
        if len(told) == 1:
            return -1
        self.questions.append(Question(path, is_name, told))
        return len(self.questions) - 1

    def answer(self, state: State) -> List[int]:
        """The answers of a state, by question. Raises ValueError for a state of something else."""
        answers = []
        for question in self.questions:
            keeps = state.base == KEPT or state.base == (NAMES_ONLY if question.is_name else BYTES_ONLY)
            answers.append(len(question.told) - 1 if keeps else 0)
        for number, answer in state.deviations:
            if not (number < len(answers) and answer < len(self.questions[number].told)):
                raise ValueError(f"there is no answer {answer} to a question {number} at step {self.cut}")
            answers[number] = answer
        return answers

    def build(self, state: State) -> Tree:
        """What stands below the base then."""
        tree: Tree = {}
        self._build(self._root, "", self.answer(state), tree)
        return tree

    def _build(self, inode: Inode, path: str, answers: List[int], tree: Tree) -> None:
        if inode.entries is None:
            number, contents = self._bytes[id(inode)]
            tree[path] = contents[answers[number] if number >= 0 else 0]
            return
        if path:
            tree[path] = None
        for name, number, possible in self._names[id(inode)]:
            found = possible[answers[number] if number >= 0 else 0]
            if found is not None:
                self._build(found, os.path.join(path, name), answers, tree)

    def tell(self, state: State) -> List[str]:
        """What is open and how the state answers it, in lines for people."""
        answers = self.answer(state)
        return [
            "%s %s: %s" % ("name" if question.is_name else "bytes", question.path, question.told[answer])
            for question, answer in zip(self.questions, answers)
            if len(question.told) > 1
        ]

    def singles(self, base: str) -> List[State]:
        """All states that answer one question differently."""
        usual = self.answer(State(self.cut, base))
        return [
            State(self.cut, base, ((number, answer),))
            for number, question in enumerate(self.questions)
            for answer in range(len(question.told))
            if answer != usual[number]
        ]

    def pairs(self, base: str, dice: random.Random) -> List[State]:
        """States that answer two questions differently: all of them, or `MOST_PAIRS` drawn."""
        deviations = [state.deviations[0] for state in self.singles(base)]
        number = len(deviations) * (len(deviations) - 1) // 2
        if number <= MOST_PAIRS:
            found = [(one, other) for at, one in enumerate(deviations) for other in deviations[at + 1 :]]
        else:
            found = [(one, other) for one, other in (dice.sample(deviations, 2) for _ in range(MOST_PAIRS))]
        return [State(self.cut, base, tuple(sorted(pair))) for pair in found if pair[0][0] != pair[1][0]]

    def draw(self, dice: random.Random) -> State:
        """A state at random: mostly kept, or mostly lost, or anything."""
        base = dice.choice((KEPT, LOST))
        share = dice.choice((0.2, 0.5, 0.8))
        usual = self.answer(State(self.cut, base))
        drawn = [
            dice.randrange(len(question.told)) if dice.random() < share else answer
            for question, answer in zip(self.questions, usual)
        ]
        return State(self.cut, base, tuple(pair for pair in enumerate(drawn) if pair[1] != usual[pair[0]]))


def _is_temporary(name: str) -> bool:
    return name.startswith(TEMPORARY_PREFIX)


def _without_repeats(answers: List[Optional[Inode]]) -> List[Optional[Inode]]:
    """Each once, where it stood last: the last one must stay the last."""
    found: List[Optional[Inode]] = []
    for one in answers:
        found = [other for other in found if other is not one] + [one]
    return found


def _possible_contents(inode: Inode, cut: int) -> List[bytes]:
    safe, events = inode.since_sync(inode.contents, cut)
    later = [content for _, content in events]
    if not later:
        return [safe or b""]
    whole = later[-1]
    half = len(whole) // 2
    found: List[bytes] = []
    for content in [
        safe or b"",
        *later,
        b"\0" * len(whole),
        whole[:half],
        whole[:half].ljust(len(whole), b"\0"),
        whole,
    ]:
        found = [other for other in found if other != content] + [content]
    return found


def _tell(content: bytes) -> str:
    if not content:
        return "empty"
    zeros = len(content) - len(content.rstrip(b"\0"))
    return "%d bytes%s" % (len(content), ", %d of them zeros" % zeros if zeros else "")


def write_tree(tree: Tree, target: str) -> None:
    """The tree stands in ``target``, which must not exist."""
    os.mkdir(target)
    for path, content in tree.items():
        full = os.path.join(target, path)
        if content is None:
            os.mkdir(full)
        else:
            descriptor = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
            os.write(descriptor, content)
            os.close(descriptor)
