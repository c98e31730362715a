"""The project's evidence: threads, processes, kills and forks on one tree, judged against what was promised.

``python -m stress`` runs the scenarios and prints a PASS/FAIL table; ``python -m stress power`` builds what a
power cut may leave; ``python -m stress bench`` measures speed beside bare file system loops. README.md in this folder
says what is judged, and how to repeat a failure.
"""
