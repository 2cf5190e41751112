"""``python -m kernreg_core.cli`` is the command ``kernreg``."""

import sys

from . import main

sys.exit(main())
