"""``python -m stress bench``: speed, as ratios to bare file system loops; measuring.py is where it starts."""
