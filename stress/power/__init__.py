"""Power cuts without a power cut: what a careless file system may leave of a tree, built, read and continued.

``python -m stress power``. `recorded_disk` writes down what a workload does to the file system, `states` enumerates
what may be left of it, `judging` holds each state to what the fsync level promises.
"""
