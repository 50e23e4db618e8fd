"""Attention: measured on data, and over one picture, as functions."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reluflow._api.deploy import as_converted
from reluflow._api.outputs import keep_inputs_beside
from reluflow.attention import (
    Attended,
    AttentionOptions,
    AttentionReport,
    RegionOptions,
    TileOptions,
    attend_picture,
    measure_attention,
)
from reluflow.attention.attend.panorama import answer_files, attend_panorama
from reluflow.data import Preprocessing, open_data
from reluflow.errors import OptionError
from reluflow.evaluation import choose_answers
from reluflow.files import appearing
from reluflow.graph import Model, PsbOptions, find_psb, load, with_input_defaults
from reluflow.progress import Progress
from reluflow.report import ATTEND_FILES, write_attended

_UNFINISHED = "attend.partial"
"""Folder in `out` for what an interrupted run has done."""
_MEMORY = 2**31
"""Bytes of a tile's tensors, where nobody says how many."""


def evaluate_attention(
    model: Any,
    data: Any,
    labels: Any = None,
    *,
    attention: str | AttentionOptions = "1,2/32",
    float_model: Any = None,
    label_name: str | None = None,
    psb: PsbOptions | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> AttentionReport:
    """Measure attention: few samples everywhere, more where the network is unsure of the picture.

    Args:
        model: a converted classifier of pictures, or one in floating point, which is converted.
        data: as for `analyze`.
        labels: class numbers, array or path (.npz, .npy, idx). None: the array `label_name` of the
            .npz given as `data`, else the float model's answers, or those of the most samples.
        attention: the samples of both passes, such as "1,2/32", every pair of which is measured;
            or all options.
        float_model: what `model` was converted from.
        label_name: array of an .npz with the answers; by default "label", if there is one.
        psb: how a model in floating point is converted.
        limit: use the first so many inputs only.
        progress: called as progress("measuring", inputs done, inputs).

    Returns:
        Each number of samples on all pixels, and each pair with unsure and random regions, with and
        without a margin; the accuracy, counted shift-adds and measured time of each.

    Raises:
        OptionError: samples are not accepted, or psb is given for a converted model.
        ModelError: there is nothing to convert.
        DataError: nothing tells how unsure the pixels are.
        ReluflowError: bad model, data, labels or options, in one sentence.

    Example:
        >>> import reluflow
        >>> images = "models/fashion_mnist_test_2000.npz"  # with an array "label"
        >>> found = reluflow.evaluate_attention(
        ...     "models/fashion_resnet8.onnx", images, attention="1/16", limit=10)
        >>> len(found.points), found.metric
        (4, 'accuracy')

    Reference: docs/attention.md; thesis 4.2.5, Table 4.2.
    """
    options = AttentionOptions.of(attention) if isinstance(attention, str) else attention
    given = load(model)
    reference = None if float_model is None else load(float_model)
    if find_psb(given):
        if psb is not None:
            raise OptionError(
                "psb is given, but the model is converted already; leave it out, or give the float "
                "model."
            )
    elif reference is None:
        reference = given
    fine = as_converted(given, psb)
    source = open_data(data, with_input_defaults(fine).model.inputs, limit=limit)
    right, note = choose_answers(labels, data, label_name, limit=limit, has_float=True)
    found = measure_attention(
        fine, source, right, float_model=reference, options=options, progress=progress
    )
    if note is not None and reference is None:
        note = "There are no labels and no float model: the answers of the most samples count."
    return replace(found, notes=(*([note] if note else []), *found.notes))


def attend(
    model: Any,
    image: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    samples: str = "1/16",
    region: RegionOptions | None = None,
    coarse: Any = None,
    half: bool = False,
    float_model: Any = None,
    tensor: str | None = None,
    axis: int | None = None,
    reading: str | None = None,
    number: int = 0,
    preprocessing: Preprocessing | None = None,
    psb: PsbOptions | None = None,
    seed: int = 0,
    threads: int | None = None,
    native: bool | None = None,
    tile: str | tuple[int, ...] | None = None,
    memory_limit_bytes: int | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Attended:
    """Look at one picture with few samples, then with more where the network is unsure.

    With `tile` a picture of any size is run in tiles whose seams are exact: answers, region and
    shares are those of the whole picture, to the bit. `out` then gets the answers, too, as one
    .npy file for each output.

    Args:
        model: a converted model, or one in floating point, which is converted: path, bytes or
            ModelProto.
        image: an image, or data as for `analyze`.
        out: folder for the page, its numbers and its pictures; None: nothing is written.
        samples: of both passes, as "1/16".
        region: how the region is chosen and carried; None: pixels more unsure than the mean, the
            same part of the picture in every layer.
        coarse: another form of the network for pass 1, such as a file that passes bytes.
        half: run it on the picture at half the side.
        float_model: what `model` was converted from, for the errors of layers; None: the model
            itself where it is in floating point, else errors are taken against the dense pass 2.
        tensor: which has scores for each pixel; None: an output with pixels, or what stands in
            front of a global pooling.
        axis: of the channels of that tensor; None: it is found.
        reading: how they are read: "softmax", "probabilities", "yes-no" or "uncertainty"; None: it
            is found.
        number: which input of data with several, from 0.
        preprocessing: of images and idx files.
        psb: how a model in floating point is converted.
        seed: of the draws.
        threads: of ONNX Runtime.
        native: run the native library: always, never, or by default where available.
        tile: run the picture in tiles: pixels of a tile along each axis, or "auto", the best that
            the memory limit allows; None: whole.
        memory_limit_bytes: of the tensors of a tile of "auto"; None: 2 GiB.
        resume: go on with tiles where an interrupted run with the same `out` stopped.
        progress: called as progress(stage, tiles done, tiles).

    Returns:
        Answers, region, costs and errors; of a picture in tiles no errors of layers.

    Raises:
        OptionError: `samples` does not say two passes, or an option would have no effect.
        ModelError: there is nothing to convert.
        OutputError: `out` cannot be written, would replace an input, or holds an interrupted run
            that nobody asked to resume.
        Interrupted: Ctrl-C was pressed; with `tile` and `out` the sentence says what is kept.
        ReluflowError: bad model, image or options, in one sentence.

    Example:
        >>> import reluflow
        >>> found = reluflow.attend(
        ...     "models/fashion_resnet8.onnx", "models/fashion_mnist_test_2000.npz", number=3)
        >>> found.reference, [cost.name for cost in found.costs][-2:]
        ('float32', ['both passes', 'dense pass 2'])

    Reference: docs/attention.md; thesis 4.2.5, Fig. 4.4.
    """
    passes = _numbers(samples)
    tiles = _tiles(tile, memory_limit_bytes, resume)
    given = load(model)
    reference = None if float_model is None else load(float_model)
    first = None if coarse is None else load(coarse)
    names = (*ATTEND_FILES, *(answer_files(given).values() if tiles is not None else ()))
    keep_inputs_beside(out, names, given, first, reference, image)
    if find_psb(given):
        if psb is not None:
            raise OptionError(
                "psb is given, but the model is converted already; leave it out, or give the "
                "float model."
            )
        ready = given
    else:
        reference = given if reference is None else reference
        ready = as_converted(given, psb)
    one = _one(image, ready, number, preprocessing)
    what: dict[str, Any] = {"coarse": first, "half": half, "float_model": reference}
    what |= {"tensor": tensor, "axis": axis, "reading": reading}
    how: dict[str, Any] = {"seed": seed, "threads": threads, "native": native}
    if tiles is None:
        found = attend_picture(ready, one, passes, region, **what, **how)
        return _written(found, given, out)
    seen = attend_panorama(
        ready,
        one,
        passes,
        region,
        tiles=replace(tiles, **how),
        folder=None if out is None else Path(out) / _UNFINISHED,
        progress=progress,
        **what,
    )
    found = _written(seen.attended, given, out)
    if out is not None:
        for name, file in answer_files(given).items():
            with appearing(Path(out) / file) as partial, partial.open("wb") as stream:
                np.save(stream, seen.answers[name])
    seen.stages.finish()
    return found


def _written(found: Attended, given: Model, out: str | os.PathLike[str] | None) -> Attended:
    """Return what was found under the name of its model; write its page."""
    named = replace(found, model=str(given.path or ""))
    if out is not None:
        write_attended(named, out)
    return named


def _tiles(
    tile: str | tuple[int, ...] | None, memory_limit_bytes: int | None, resume: bool
) -> TileOptions | None:
    """Return how a picture is cut; None: not at all."""
    if tile is None:
        idle = {"memory_limit_bytes": memory_limit_bytes, "resume": resume or None}
        for name, value in idle.items():
            if value is not None:
                raise OptionError(
                    f"{name} is {value}, but does nothing without tile; leave it out, or set "
                    "tile to 'auto'."
                )
        return None
    if tile != "auto" and (isinstance(tile, str) or min(tile, default=0) < 1):
        raise OptionError(f"tile is {tile!r}; give its height and width in pixels, or 'auto'.")
    if tile != "auto" and memory_limit_bytes is not None:
        raise OptionError(
            f"memory_limit_bytes is {memory_limit_bytes}, but does nothing with a tile of a "
            "given size; leave it out, or set tile to 'auto'."
        )
    crop = None if isinstance(tile, str) else tuple(tile)
    return TileOptions(memory_limit_bytes or _MEMORY, crop, resume=resume)


def _numbers(samples: str) -> tuple[int, int]:
    """Return the samples of both passes."""
    parts = [part.strip() for part in samples.split("/")]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise OptionError(
            f"samples is {samples!r}; give those of both passes as COARSE/FINE, for example 1/16."
        )
    return int(parts[0]), int(parts[1])


def _one(
    image: Any, model: Model, number: int, preprocessing: Preprocessing | None
) -> dict[str, np.ndarray]:
    """Return one input of the data."""
    inputs = with_input_defaults(model).model.inputs
    source = open_data(image, inputs, preprocessing=preprocessing)
    there = source.n_samples
    if number < 0 or (there is not None and number >= there):
        raise OptionError(
            f"number is {number}, but the data have {there} inputs; give one of them, from 0 on."
        )
    batch = source.take([number])
    return {spec.name: np.ascontiguousarray(batch[spec.name]) for spec in inputs}
