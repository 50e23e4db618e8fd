"""`python -m reluflow` is the command line."""

import sys

from reluflow.cli import main

sys.exit(main())
