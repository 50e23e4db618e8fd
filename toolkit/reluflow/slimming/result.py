"""What slimming found, did and saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from reluflow.frames import Shown, SiteTable, flat
from reluflow.graph import Model, Refused

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class SiteUnits:
    """The units of one site, as found and as left.

    `slim_model` returns one for each site.

    Attributes:
        site: its name.
        op: its operator.
        units: their number before.
        off: units that were off for all data.
        on: units that were on for all data.
        same_pattern: units that were on and off together with an earlier unit for all data.
        removed: units that were off and are gone.
        unread: units that are gone since nothing read them any more.
        merged: (unit, unit it is a multiple of, factor): gone, their columns added.
        left: their number afterwards.
        linear: whether the switch is gone, since all units left are always on.
        fused: names of the two layers around it that became one, () where they did not.
    """

    site: str
    op: str
    units: int
    off: tuple[int, ...]
    on: tuple[int, ...]
    same_pattern: tuple[int, ...]
    removed: tuple[int, ...]
    unread: tuple[int, ...]
    merged: tuple[tuple[int, int, float], ...]
    left: int
    linear: bool
    fused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Saving:
    """One quantity of the model before and after.

    `slim_model` returns three.

    Attributes:
        what: "parameters", "multiply-adds" of one input, or "bytes" of the file.
        before: of the given model, None where it is not known.
        after: of the slim one.
    """

    what: str
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two models' results lie apart on some inputs.

    `slim_model` measures it.

    Attributes:
        n_inputs: number of inputs.
        largest_difference: of any number of any output.
        largest_output: the largest magnitude in the given model's outputs.
        other_answers: inputs whose largest output is another one, None where no output is a row of
            numbers for each input.
    """

    n_inputs: int
    largest_difference: float
    largest_output: float
    other_answers: int | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SlimReport(SiteTable[SiteUnits]):
    """A slim model and what is to be known about it; returned by `reluflow.slim`.

    Attributes:
        model: the new model.
        sites: in graph order.
        savings: parameters, multiply-adds and bytes.
        on_data: how far both models lie apart on the data: not more than rounding.
        on_check: likewise on other data, None where there are none.
        refused: what stays although the data would allow it, with the reason.
        notes: sentences on what else is to be known.
    """

    model: Model
    sites: tuple[SiteUnits, ...]
    savings: tuple[Saving, ...]
    on_data: Agreement
    on_check: Agreement | None
    refused: tuple[Refused, ...]
    notes: tuple[str, ...]

    _shown: ClassVar[Shown] = {
        "site": ("site", "text"),
        "op": ("op", "text"),
        "units": ("units", "count"),
        "off": ("off", "count"),
        "always on": ("on", "count"),
        "same pattern": ("same_pattern", "count"),
        "removed": ("removed", "count"),
        "unread": ("unread", "count"),
        "merged": ("merged_units", "count"),
        "left": ("left", "count"),
    }

    def _heading(self) -> str:
        saved = [
            f"{each.what} {'unknown' if each.before is None else f'{each.before:,}'} > "
            f"{'unknown' if each.after is None else f'{each.after:,}'}"
            for each in self.savings
        ]
        return ", ".join(saved)

    def _records(self) -> Sequence[dict[str, Any]]:
        rows = []
        for each in self.sites:
            row = flat(each)
            del row["merged"]
            row["merged_units"] = [unit for unit, _, _ in each.merged]
            row["merged_into"] = [other for _, other, _ in each.merged]
            row["merged_factors"] = [factor for _, _, factor in each.merged]
            rows.append(row)
        return rows

    def _sentences(self) -> Sequence[str]:
        left = [f"{each.node}: {each.reason}." for each in self.refused]
        return [*self.sentences(), *left, *self.notes]

    @property
    def changed(self) -> bool:
        """Whether the new model differs from the given one."""
        return any(s.removed or s.unread or s.merged or s.linear for s in self.sites)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the model, ready for JSON."""
        found = {
            name: [asdict(each) for each in getattr(self, name)]
            for name in ("sites", "savings", "refused")
        }
        checked = None if self.on_check is None else asdict(self.on_check)
        return {
            **found,
            "on_data": asdict(self.on_data),
            "on_check": checked,
            "notes": list(self.notes),
            "findings": list(self.sentences()),
        }

    def sentences(self) -> tuple[str, ...]:
        """Return the findings in words."""
        found = []
        if not self.changed:
            found.append("Nothing could be taken out: the new model is the given one.")
        kept = sum(len(s.on) for s in self.sites if not s.linear)
        if kept:
            found.append(
                f"Always on, and kept: {kept} units. Beside units that switch, each would need a "
                "path of its own, which saves nothing."
            )
        gone = [{unit for unit, _, _ in s.merged} for s in self.sites]
        twins = sum(
            len(set(s.same_pattern) - merged) for s, merged in zip(self.sites, gone, strict=True)
        )
        if twins:
            found.append(
                f"With the pattern of an earlier unit on all data, and kept: {twins} units. Only "
                "multiples of one row of weights are merged."
            )
        found.append(_agrees("On the data", self.on_data))
        if self.on_check is None:
            found.append(
                "Units are off or on for these data only; see what other data would change with "
                "check."
            )
        else:
            found.append(_agrees("On the other data", self.on_check))
        return tuple(found)


def _agrees(where: str, agreement: Agreement) -> str:
    differs = (
        f"{where} ({agreement.n_inputs} inputs), outputs differ by "
        f"{agreement.largest_difference:.3g} at most, where the largest is "
        f"{agreement.largest_output:.3g}"
    )
    if agreement.other_answers is None:
        return f"{differs}."
    return f"{differs}; {agreement.other_answers} answers are others."
