"""The profile of a dataset, which MLflow lets be 16 million characters: more than one tag may hold.

A long one is cut into tags of its own, each named after what it holds. So a record that names its parts means one
profile for good, whatever else is recorded of a dataset of that name and digest at the same time.
"""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Tuple

# A character takes up to six bytes in JSON: with these, neither a part nor a record, whose other texts MLflow keeps
# below 1.2 million, comes to the 10 MB of a tag.
_WHOLE_AT_MOST = 400_000
_PART = 1_500_000


def cut_profile(profile: Optional[str], prefix: str) -> List[Tuple[str, str]]:
    """Key and value of the tag of each part, in order; the keys begin with ``prefix``. None where no cut is needed."""
    if profile is None or len(profile) <= _WHOLE_AT_MOST:
        return []
    parts = [profile[start : start + _PART] for start in range(0, len(profile), _PART)]
    return [(prefix + _name(part), part) for part in parts]


def join_profile(keys: List[str], tags: Mapping[str, Any]) -> Optional[str]:
    """The profile whose parts have these keys; None if one is missing."""
    parts = [tags.get(str(key)) for key in keys]
    return None if any(part is None for part in parts) else "".join(map(str, parts))


def _name(part: str) -> str:
    import hashlib  # 2 ms that nobody needs who has no such profile

    return hashlib.sha1(part.encode("utf-8", "surrogatepass")).hexdigest()
