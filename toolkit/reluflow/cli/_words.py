"""Sentences of the library, in the words of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from reluflow.errors import OptionError

_OPTIONS = {
    "batch_size": "--batch-size",
    "channel_order": "--channels",
    "false_alarms": "--false-alarms",
    "held_out": "--held-out",
    "checkpoint_seconds": "--checkpoint-every",
    "float_model": "--float",
    "frozen_norm": "--frozen-norm",
    "label_name": "--label-name",
    "most_patterns": "--patterns",
    "memory_limit_bytes": "--memory",
    "p_bits": "--p-bits",
    "prune_scope": "--prune-scope",
    "small_weights": "--small",
    "x_bits": "--x-bits",
}
# Words that are English too are options only where they begin a sentence as its argument.
_FIRST = {
    "axis": "--axis",
    "batches": "--batches",
    "plane": "--plane",
    "points": "--points",
    "raster": "--raster",
    "window": "--window",
    "budget": "--budget",
    "carry": "--carry",
    "dims": "--dim",
    "draws": "--draws",
    "exclude": "--exclude",
    "group": "--group",
    "hash": "--hash",
    "labels": "--labels",
    "layout": "--layout",
    "limit": "--limit",
    "loss": "--loss",
    "margin": "--margin",
    "mean": "--mean",
    "method": "--method",
    "metric": "--metric",
    "models": "--models",
    "momentum": "--momentum",
    "name": "--name",
    "n_samples": "--random",
    "out": "--out",
    "number": "--number",
    "optimizer": "--optimizer",
    "output": "--output",
    "prune": "--prune",
    "ram": "--ram",
    "rates": "--rates",
    "reading": "--reading",
    "reference": "--reference",
    "resume": "--resume",
    "rule": "--unsure",
    "runs": "--runs",
    "sampler": "--sampler",
    "samples": "--samples",
    "seed": "--seed",
    "seeds": "--seeds",
    "sites": "--site",
    "size": "--size",
    "std": "--std",
    "target": "--target",
    "tile": "--tile",
    "tensor": "--tensor",
    "threads": "--threads",
    "threshold": "--threshold",
    "top": "--top",
    "tune": "--tune",
    "value": "--unsure",
}
# These are attributes of PSB operators too, and keep their name where a sentence speaks of a node.
_ATTRIBUTES = ("p_bits", "x_bits")
_OF_A_NODE = re.compile(
    r"\bnode '.*' \(Psb|\battribute \w+ (is|refers)\b|convert the .*model again"
)
_CONVERTED = "is given, but does nothing without a float model, and this one is converted already"
_ANSWERS = "give --float MODEL, --labels FILE or --label-name NAME"
_CALLS = (
    (r"^models are (\d+); give two checkpoints", r"\1 checkpoint is given; name two"),
    (r"is given, but the model is converted already", _CONVERTED),
    (r"\bgive float_model, labels or label_name\b", _ANSWERS),
    (r"^labels are missing; give the right answers,", "give the right answers with --labels PATH,"),
    (r"RandomData\(\d+, dims=\{'([^']*)': (\d+)\}\)", r"--dim \1=\2"),
    (r"give a preprocessing with size=\((\d+), (\d+)\)", r"give --size \1x\2"),
    (
        r"giving a preprocessing",
        r"giving --mean and --std, --size or --channels",
    ),
    (r"^preprocessing was given", "--size, --mean, --std, --channels or --layout was given"),
    (r"give the channel order, 'rgb', 'bgr' or 'gray'", "give --channels rgb, bgr or gray"),
    (r"give the layout, 'nchw' or 'nhwc'", "give --layout nchw or nhwc"),
    (r"three inputs as data, and plane '(\w+)'", "--data PATH"),
    (r"but does nothing on plane '(\w+)'", r"but does nothing with --plane \1"),
    (r"\bplane '(\w+)'", r"--plane \1"),
    (r"but there are no data; give three inputs\.", "but there are no inputs; give --data PATH."),
    (r"\bcalibration=DATA\b", "--calibrate DATA"),
    (r"change size, crop", "change --size"),
    (r"\bneeded for (int8|sensitivity);", r"needed for --\1;"),
    (
        r"^resume is set without an output directory; name the one",
        "resume is set without --out; name the folder",
    ),
    (r"(; give one of '.*'), None\.$", r"\1."),
    (r"\bsave them with numpy\.savez\b", "save them in one of these formats"),
    (r"\bsave it with numpy\.savez\(.*\)", "give an .npz with arrays of these names"),
    (r"\bsave it (again )?with numpy(\.savez)?\b", r"write it \1with the arrays as they are meant"),
    (r"\bsave numpy\.ascontiguousarray\(x\) instead", "save it in C order"),
    (r" with x\[None\]", ""),
    (r" with numpy\.expand_dims\(x, (\d+)\)", r" as axis \1"),
    (r"\bmove the channel axis with x\.transpose(\(.*?\))", r"order the axes as \1"),
    (r"\breshape with x\.reshape(\(.*?\))", r"reshape the array to \1"),
    (r"\bresume=True\b", "--resume"),
    (r"\bsmooth=True\b", "--smooth"),
    (r"\bloss '([a-z-]+)'", r"--loss \1"),
    (
        r"^value is None, which rule '(\w+)' needs; give",
        r"--unsure is '\1' without its number; give",
    ),
    (
        r"^value is ([\d.e+-]+), but does nothing with rule 'mean'",
        r"--unsure is 'mean=\1', but mean takes no number",
    ),
)


def in_options(sentence: str) -> str:
    """Return a sentence with options in place of the library's arguments and calls.

    Args:
        sentence: of an error that the library raised.

    Example:
        >>> in_options("batch_size is 0; give a whole number of at least 1")
        '--batch-size is 0; give a whole number of at least 1'
        >>> in_options("give it one: RandomData(8, dims={'height': 224})")
        'give it one: --dim height=224'
        >>> in_options("node 'c' (PsbConv): attribute x_bits is 17; 2 to 16 is accepted")
        "node 'c' (PsbConv): attribute x_bits is 17; 2 to 16 is accepted"
    """
    for pattern, words in _CALLS:
        sentence = re.sub(pattern, words, sentence)
    kept = _ATTRIBUTES if _OF_A_NODE.search(sentence) else ()
    for name, option in _OPTIONS.items():
        if name in kept:
            continue
        sentence = re.sub(rf"(?<![\w'\"./-]){name}(?![\w'\"/]|\.\w)", option, sentence)
    first = re.match(rf"({'|'.join(_FIRST)}) (?=(is|are|was|were|has|names|and)\b)", sentence)
    if first is not None:
        sentence = f"{_FIRST[first[1]]} {sentence[first.end() :]}"
    return sentence


@contextmanager
def naming(argument: str, flags: Mapping[str, object]) -> Iterator[None]:
    """Name the flag that was typed where several of them make one argument of a call.

    Args:
        argument: of the call.
        flags: flag -> value; None was not given. The first that was given is named.

    Raises:
        OptionError: the call's, in the words of the command line.

    Example:
        >>> with naming("psb", {"--p-bits": None, "--prune": 0.5}):
        ...     raise OptionError("psb is given, but nothing is converted; leave it out.")
        Traceback (most recent call last):
        reluflow.errors.OptionError: --prune is given, but nothing is converted; leave it out.
    """
    try:
        yield
    except OptionError as error:
        typed = [flag for flag, value in flags.items() if value is not None]
        sentence = str(error)
        if typed and sentence.startswith(f"{argument} is "):
            error.args = (typed[0] + sentence.removeprefix(argument),)
        raise
