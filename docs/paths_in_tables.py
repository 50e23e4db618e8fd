"""Lets long paths in the tables of the site break behind a slash, and nowhere else."""

from __future__ import annotations

import re
from typing import Any

_CODE = re.compile(r"<code>[\w./-]+/[\w./-]+</code>")
_CELL = re.compile(r"<td.*?</td>", re.S)


def on_page_content(html: str, **kwargs: Any) -> str:
    """Give the browser a place to break behind each slash of a path in a cell."""

    def with_breaks(code: re.Match[str]) -> str:
        path = code[0].removeprefix("<code>").removesuffix("</code>")
        return f'<code class="path">{path.replace("/", "/<wbr>")}</code>'

    return _CELL.sub(lambda cell: _CODE.sub(with_breaks, cell[0]), html)
