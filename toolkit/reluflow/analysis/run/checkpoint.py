"""An interrupted analysis on disk: complete after every write, or absent.

Layout of the folder: `state.json` names the valid generation, `generation-K/` holds one snapshot of
each counting table. Runs that tables spilled are stored next to them and are never rewritten.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reluflow.analysis.run.input_sample import InputSample
from reluflow.errors import OutputError
from reluflow.files import appearing
from reluflow.patterns import PatternCounts

_FORMAT = 3
_STATE = "state.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What `Checkpoints.load` found.

    Attributes:
        next_input: index of the first input not yet analysed.
        sites: one state per site (`SiteAccumulator.state`).
        extra: whatever else the pipeline keeps.
        tables: folder with one snapshot per table, `table-000` and so on.
    """

    next_input: int
    sites: list[dict[str, Any]]
    extra: dict[str, Any]
    tables: Path


class Checkpoints:
    """Writes and reads the checkpoints of one analysis in `folder`."""

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder
        # Through JSON, so that it compares equal with what is read back: tuples become lists.
        self._identity = json.loads(json.dumps(identity))
        self._generation = 0

    def prepare(self) -> None:
        """Make the empty folder.

        Raises:
            OutputError: it cannot be made, or holds files of something else, which would be deleted
                at the end.
        """
        foreign = sorted(_foreign(self.folder))
        if foreign:
            raise OutputError(
                f"the working folder {self.folder} holds {foreign[0]!r}, which is no part of an "
                "analysis; move it away or choose another output path."
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot make the working folder {self.folder}: {error.strerror}; "
                "choose another output path."
            ) from error

    def save(
        self,
        next_input: int,
        sites: list[dict[str, Any]],
        extra: dict[str, Any],
        tables: Sequence[PatternCounts | InputSample],
    ) -> None:
        """Write a new generation, then let `state.json` name it, then drop the old one.

        Raises:
            OutputError: the disk is full or not writable; the previous checkpoint stays valid.
        """
        old, self._generation = self._generation, self._generation + 1
        target = self.folder / f"generation-{self._generation}"
        state = {
            "format": _FORMAT,
            "identity": self._identity,
            "generation": self._generation,
            "next_input": next_input,
            "sites": sites,
            "extra": extra,
        }
        try:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            for index, table in enumerate(tables):
                table.snapshot(target / f"table-{index:03d}")
            # Last, and at once: a process killed before this line leaves the former generation
            # named.
            with appearing(self.folder / _STATE) as partial:
                partial.write_text(json.dumps(state), encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"cannot write the checkpoint in {self.folder}: {error.strerror}; "
                "free some space and run again with resume=True."
            ) from error
        shutil.rmtree(self.folder / f"generation-{old}", ignore_errors=True)

    def load(self) -> Checkpoint:
        """Read the last complete generation.

        Raises:
            OutputError: nothing to resume, a damaged state, or one of another analysis.
        """
        try:
            state = json.loads((self.folder / _STATE).read_text(encoding="utf-8"))
            generation = int(state["generation"])
            found = Checkpoint(
                int(state["next_input"]),
                list(state["sites"]),
                dict(state["extra"]),
                self.folder / f"generation-{generation}",
            )
        except FileNotFoundError as error:
            raise OutputError(
                f"there is nothing to resume in {self.folder}; run without resume=True."
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f"the checkpoint in {self.folder} cannot be read ({error}); "
                "delete the folder and run again."
            ) from error
        differing = _differences(state.get("identity"), self._identity)
        if state.get("format") != _FORMAT or differing:
            raise OutputError(
                f"the checkpoint in {self.folder} belongs to another analysis (different: "
                f"{', '.join(differing) or 'format'}); run it with the same settings, "
                "or without resume=True into another folder."
            )
        self._generation = generation
        return found

    def remove(self) -> None:
        """Delete the folder; its content is in the finished report."""
        shutil.rmtree(self.folder, ignore_errors=True)


def holds_checkpoint(folder: Path) -> bool:
    """Return whether a folder holds an interrupted analysis.

    Args:
        folder: working folder of an analysis, which need not exist.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     holds_checkpoint(Path(folder))
        False
    """
    return (folder / _STATE).is_file()


def _foreign(folder: Path) -> set[str]:
    """Return the names in a folder that no analysis writes."""
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError:
        return set()  # absent, or not a folder: making it raises the error
    own = ("generation-", f".{_STATE}.")
    return {n for n in names if n not in ("spill", _STATE) and not n.startswith(own)}


def _differences(found: Any, wanted: dict[str, Any]) -> list[str]:
    if not isinstance(found, dict):
        return ["identity"]
    return sorted(k for k in found.keys() | wanted.keys() if found.get(k) != wanted.get(k))
