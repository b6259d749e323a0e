"""Puts the repository on the path, for programs that are run as `python tools/NAME.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
