"""Changing a run: operations, group commit, the commit log, folding, and a run's life from start to end."""
