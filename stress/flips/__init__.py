"""``python -m stress flips``: a tree is damaged at random, verified, read, repaired, verified again; a thousand times.

`damaging` makes the tree and the damage, `judging` says what must hold, `program` counts.
"""
