"""``python -m mini_mlflow``: the same as the command ``mini-mlflow``."""

import sys

from mini_mlflow.cli import main

if __name__ == "__main__":
    sys.exit(main())
