"""``python -m stress``: run the scenarios, judge them, print the table. With ``power`` or ``bench``: see README.md."""

from __future__ import annotations

import sys
import traceback

try:
    from stress.program import main
except ImportError:
    # Python's own status for this is 1, which here says that a guarantee was broken.
    traceback.print_exc()
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
