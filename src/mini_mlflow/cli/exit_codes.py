"""What the exit code of every command says. README has the same table."""

from __future__ import annotations

DONE = 0
FAILED = 1
USAGE = 2
NO = 3
INTERRUPTED = 130
PIPE_CLOSED = 141

MEANINGS = {
    DONE: "done; an empty list is an answer too",
    FAILED: "it could not be done, and one line says why: no such tree, run or metric, or the system refused",
    USAGE: "the command line is wrong",
    NO: "it was done, and the answer is no: damage was found, or is left, no run fits, or not all was taken",
    INTERRUPTED: "interrupted from the keyboard",
    PIPE_CLOSED: "the reader of the output went away, as `head` does",
}
