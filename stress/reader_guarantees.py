"""The guarantees about what readers see while others write."""

from __future__ import annotations

from typing import Iterator, Optional

from stress.evidence import Evidence, History


def readers_see_no_error(evidence: Evidence) -> Iterator[str]:
    """No reader sees an error or a damaged file."""
    yield from evidence.reading_errors
    for reader in evidence.readers:
        yield from reader.errors


def history_never_shrinks(evidence: Evidence) -> Iterator[str]:
    """Whatever a reader has seen of a history or of a listing stays there, in place."""
    final = {run.run_id: run.histories for run in evidence.runs}
    for reader in evidence.readers:
        yield from reader.shrunk
        for run_id, sight in reader.sights.items():
            for key, before in sight.items():
                lost = describe_loss(before, final.get(run_id, {}).get(key, []))
                if lost:
                    yield f"run {run_id}: {key} at the end: {lost}"


def describe_loss(before: History, after: History) -> Optional[str]:
    """How a later look at a history differs from an earlier one in what both should hold; None if it does not."""
    if after[: len(before)] == before:
        return None
    if len(after) < len(before):
        return f"{len(before)} points seen, then {len(after)}"
    place = next(i for i, (old, new) in enumerate(zip(before, after)) if old != new)
    return f"point {place} was {before[place]}, then {after[place]}"


def acknowledged_is_visible(evidence: Evidence) -> Iterator[str]:
    """A reader that starts after a call was acknowledged sees its point."""
    for reader in evidence.readers:
        yield from reader.unseen


def readers_see_whole_values(evidence: Evidence) -> Iterator[str]:
    """No reader sees half a value, or one that nobody logged."""
    for reader in evidence.readers:
        yield from reader.torn
