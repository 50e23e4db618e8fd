"""`reluflow doctor`: what is installed here, what is missing, and how to get it."""

from __future__ import annotations

import json

from rich.console import Console

from reluflow.cli import _options
from reluflow.installation import doctor as run
from reluflow.report.text.sentences import say


def doctor(as_json: _options.Json = False) -> int:
    """Show versions, the kernels of the native library, what is missing and how to get it.

    The exit code is 1 where a required package is missing or too old.
    """
    found = run()
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        say(found.sentences(), Console())
    return 0 if found.works else 1
