"""The rewrite: units that are off are taken out, always-on sites made linear, copies merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from reluflow.errors import OptionError
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.contract import Reason, Refused, Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import name_of
from reluflow.graph.sites.site import SwitchSite
from reluflow.graph.slim.channels import Channels
from reluflow.graph.slim.duplicates import add_columns, find_duplicates, read_rows
from reluflow.graph.slim.fuse import drop_switch, fuse_around
from reluflow.graph.slim.remove import remove_channels

Bits = NDArray[np.bool_]
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class SlimmedSite:
    """What became of the units of one site; part of what `slim_units` returns.

    Units are numbered as in the given model.

    Attributes:
        site: its name.
        units: their number in the given model.
        off: units that were off for all data and were taken out.
        unread: units taken out since nothing read them any more.
        merged: (unit, the unit that it is a multiple of, the factor): taken out, and their columns
            added.
        linear: whether all units that are left are always on, and the switch was taken out.
        fused: names of the two layers around it that became one, () where they did not.
    """

    site: str
    units: int
    off: tuple[int, ...] = ()
    unread: tuple[int, ...] = ()
    merged: tuple[tuple[int, int, float], ...] = ()
    linear: bool = False
    fused: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class _Site:
    """A site on the way."""

    site: SwitchSite
    output: str
    numbers: NDArray[np.int64]
    off: Bits
    on: Bits
    gone_off: list[int] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    merged: list[tuple[int, int, float]] = field(default_factory=list)
    linear: bool = False
    fused: tuple[str, ...] = ()

    def keep(self, left: Bits) -> None:
        self.numbers, self.off, self.on = self.numbers[left], self.off[left], self.on[left]

    def done(self) -> SlimmedSite:
        return SlimmedSite(
            self.site.name,
            len(self.numbers) + len(self.gone_off) + len(self.unread) + len(self.merged),
            tuple(self.gone_off),
            tuple(self.unread),
            tuple(self.merged),
            self.linear,
            self.fused,
        )


def slim_units(
    model: Model,
    sites: Sequence[SwitchSite],
    off: Mapping[str, Bits],
    on: Mapping[str, Bits],
) -> Rewritten[tuple[SlimmedSite, ...]]:
    """Return a model with fewer units, which computes the same where they are off or on as told.

    A unit that is off is taken out where all its readers can do without it: layers lose the
    columns that multiply its zeros, and the layer that makes it loses its filter. Units that are
    positive multiples of another one are merged with it, which holds for any data. A Relu whose
    units are all on is taken out, and the layers around it become one where that has fewer weights.

    Args:
        model: the model, not changed.
        sites: of this model, from `find_sites`.
        off: name of a site -> `(units,)`, which of its units are off for all data.
        on: likewise, which are on for all data.

    Returns:
        The new model with the sites that could be looked at, in graph order; what stays although
        it is off, on or a multiple is refused, with the reason.

    Raises:
        OptionError: a site has another number of units than is told.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import find_sites, load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,1] x) => (float[N,1] y)
        ...     <float[1,3] w = {1, -1, 2}, float[3,1] v = {1, 1, 1}>
        ...     { h = MatMul(x, w) r = Relu(h) y = MatMul(r, v) }''')
        >>> model = load(proto)
        >>> off, on = np.array([False, True, False]), np.array([False, False, False])
        >>> result = slim_units(model, find_sites(model), {"r": off}, {"r": on})
        >>> [(site.off, site.merged) for site in result.done], result.model.n_parameters
        ([((1,), ((2, 0, 2.0),))], 2)

    Reference: thesis 3.1.2, Definition 4; docs/slimming.md.
    """
    editor = Editor(model)
    refused: list[Refused] = []
    found = _locate(editor, sites, off, on, refused)
    _remove_off(editor, found, refused)
    _merge(editor, found, refused)
    for site in found:
        _make_linear(editor, site, refused)
    return editor.finish(tuple(site.done() for site in found), refused)


def _locate(
    editor: Editor,
    sites: Sequence[SwitchSite],
    off: Mapping[str, Bits],
    on: Mapping[str, Bits],
    refused: list[Refused],
) -> list[_Site]:
    """Find the nodes of the sites that can be looked at."""
    found = []
    for site in sites:
        if site.name not in off:
            continue
        node = _node(editor, site)
        if node is None:
            reason = "only a Relu, or a Clip from 0 on, of the main graph can lose units"
            refused.append(Refused(site.name, site.op, reason))
            continue
        never, always = (np.asarray(each[site.name], bool) for each in (off, on))
        if len({len(never), len(always), site.units or len(never)}) > 1:
            raise OptionError(
                f"off and on of site {site.name!r} have {len(never)} and {len(always)} units, the "
                f"site {site.units}; give one value for each unit."
            )
        found.append(_Site(site, node.output[0], np.arange(len(never)), never, always))
    return found


def _node(editor: Editor, site: SwitchSite) -> NodeProto | None:
    if site.scope or site.threshold != 0 or site.op not in ("Relu", "Clip"):
        return None
    able = [n for n in editor.readers(site.tensor) if n.op_type == site.op]
    able = [n for n in able if not domain_of(n.domain) and n.input[0] == site.tensor]
    named = [n for n in able if name_of(n) == site.name]
    return next(iter(named or (able if len(able) == 1 else [])), None)


def _walk(editor: Editor, found: Sequence[_Site]) -> Channels:
    return Channels(editor, {site.output: site.off for site in found})


def _ids(channels: Channels, editor: Editor, site: _Site) -> NDArray[np.int64] | Reason:
    """Return the numbers of a site's units, or why they have none."""
    ids = channels.ids.get(site.output)
    if ids is None:
        return Reason(channels.why(site.output))
    rank = editor.rank(site.output)
    if rank is None or site.site.unit_axis % rank != channels.axes[site.output]:
        return Reason("its units are not the channels of the layer in front")
    if len(ids) != len(site.numbers):
        return Reason("its units are not the channels of the layer in front")
    return ids


def _remove_off(editor: Editor, found: Sequence[_Site], refused: list[Refused]) -> None:
    channels = _walk(editor, found)
    gone: dict[int, str] = {}
    stay: list[tuple[_Site, int, str]] = []
    for site in found:
        ids = _ids(channels, editor, site)
        for unit in np.flatnonzero(site.off):
            if isinstance(ids, Reason):
                stay.append((site, int(unit), ids.text))
                continue
            number = int(ids[unit])
            reason = channels.kept.get(number) or channels.read.get(number)
            if reason:
                stay.append((site, int(unit), reason))
            else:
                gone[number] = site.output
    _leave_one(channels, gone)
    for site in found:
        ids = channels.ids.get(site.output, np.zeros(0, np.int64))
        left = np.ones(len(site.numbers), bool)
        if len(ids) == len(left):
            left = ~np.isin(ids, list(gone))
        held = {unit for other, unit, _ in stay if other is site}
        for unit in np.flatnonzero(left & site.off):
            if int(unit) not in held:
                stay.append((site, int(unit), "a layer needs at least one unit"))
        for unit in np.flatnonzero(~left):
            lost = site.gone_off if site.off[unit] else site.unread
            lost.append(int(site.numbers[unit]))
    _refuse_units(stay, "off", refused)
    if gone:
        kept = {id(s): ~np.isin(channels.ids[s.output], list(gone))
                for s in found if s.output in channels.ids}  # fmt: skip
        remove_channels(editor, channels, set(gone))
        for site in found:
            if id(site) in kept and len(kept[id(site)]) == len(site.numbers):
                site.keep(kept[id(site)])


def _leave_one(channels: Channels, gone: dict[int, str]) -> None:
    """Keep one channel of each tensor that would lose all."""
    for ids in channels.ids.values():
        if len(ids) and all(int(number) in gone for number in ids):
            gone.pop(int(ids[0]))


def _refuse_units(
    stay: Sequence[tuple[_Site, int, str]], what: str, refused: list[Refused]
) -> None:
    """Say once for each site and reason which units stay."""
    groups: dict[tuple[int, str], list[tuple[_Site, int]]] = {}
    for site, unit, reason in stay:
        groups.setdefault((id(site), reason), []).append((site, unit))
    for (_, reason), members in groups.items():
        site = members[0][0]
        numbers = [int(site.numbers[unit]) for _, unit in members]
        shown = ", ".join(map(str, numbers[:_SHOWN]))
        more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
        words = f"unit {shown} is" if len(numbers) == 1 else f"units {shown}{more} are"
        text = f"{words} {what}, but kept: {reason}"
        refused.append(Refused(site.site.name, site.site.op, text))


def _merge(editor: Editor, found: Sequence[_Site], refused: list[Refused]) -> None:
    """Merge multiples, site by site: merging in one layer may make multiples in the next."""
    channels: Channels | None = None
    for site in found:
        node = editor.producer(site.output)
        if node is None or node.op_type != "Relu" or editor.sole_reader(node.input[0]) is not node:
            continue
        rows = read_rows(editor, node.input[0])
        editor.forget()
        if isinstance(rows, Reason) or len(rows.rows) != len(site.numbers):
            continue
        pairs = find_duplicates(rows.rows, rows.bias, site.off)
        if not pairs:
            continue
        channels = channels or _walk(editor, found)
        ids = _ids(channels, editor, site)
        stay: list[tuple[_Site, int, str]] = []
        gone: list[tuple[int, int, float]] = []
        for unit, into, factor in pairs:
            reason = ids.text if isinstance(ids, Reason) else _held(channels, ids[[unit, into]])
            if reason:
                stay.append((site, unit, reason))
            else:
                gone.append((unit, into, factor))
        _refuse_units(stay, "a multiple of another", refused)
        if not gone or isinstance(ids, Reason):
            continue
        for unit, into, factor in gone:
            add_columns(editor, channels, int(ids[unit]), int(ids[into]), factor)
            site.merged.append((int(site.numbers[unit]), int(site.numbers[into]), factor))
        left = np.ones(len(site.numbers), bool)
        left[[unit for unit, _, _ in gone]] = False
        remove_channels(editor, channels, set(ids[~left].tolist()))
        site.keep(left)
        channels = None


def _held(channels: Channels, numbers: NDArray[np.int64]) -> str:
    """Return why two channels cannot be merged, "" where they can."""
    first = channels.kept.get(int(numbers[0]), "")
    return first or next(
        (channels.unscaled[int(n)] for n in numbers if int(n) in channels.unscaled), ""
    )


def _make_linear(editor: Editor, site: _Site, refused: list[Refused]) -> None:
    node = editor.producer(site.output)
    if not len(site.on) or not site.on.all() or node is None:
        return
    name, op = site.site.name, site.site.op
    if op != "Relu":
        refused.append(Refused(name, op, "all its units are on, but it is bounded above too"))
        return
    before = node.input[0]
    failed = drop_switch(editor, node)
    if failed:
        refused.append(Refused(name, op, f"all its units are on, but it stays: {failed}"))
        return
    editor.commit()
    site.linear = True
    fused = fuse_around(editor, before)
    editor.forget()
    if isinstance(fused, Reason):
        text = f"all its units are on and it is gone, but two layers stay: {fused}"
        refused.append(Refused(name, op, text))
    else:
        site.fused = fused
