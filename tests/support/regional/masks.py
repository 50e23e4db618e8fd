"""Masks of an output's pixels, and runs that leave the pixels outside to the host's buffer."""

import numpy as np
import onnxruntime as ort

KINDS = ("none", "one", "last", "blob", "lines", "sparse", "dense", "all but one", "all")


def mask_of(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return a region of pixels `[N, spatial...]`."""
    mask = np.zeros(shape, bool)
    flat = mask.reshape(-1)
    if kind == "one":
        flat[rng.integers(flat.size)] = True
    elif kind == "last":
        flat[-1] = True
    elif kind == "blob":
        begins = [rng.integers(size) for size in shape]
        mask[
            tuple(slice(at, at + size // 2 + 1) for at, size in zip(begins, shape, strict=True))
        ] = True
    elif kind == "lines":
        rows = mask.reshape(-1, shape[-1])
        rows[rng.random(len(rows)) < 0.5] = True
    elif kind in ("sparse", "dense"):
        flat[:] = rng.random(flat.size) < (0.1 if kind == "sparse" else 0.8)
    elif kind.startswith("all"):
        flat[:] = True
        if kind == "all but one":
            flat[rng.integers(flat.size)] = False
    return mask


def spread(mask: np.ndarray, channels: str) -> np.ndarray:
    """Return a mask of pixels that broadcasts over channels, "first" or "last"."""
    return mask[:, None] if channels == "first" else mask[..., None]


def run_into(
    session: ort.InferenceSession, feeds: dict[str, np.ndarray], before: np.ndarray
) -> np.ndarray:
    """Run with a copy of `before` as the memory of the only output; return what it holds then."""
    y = before.copy()  # a value shares its array's memory, and does not keep it
    held = ort.OrtValue.ortvalue_from_numpy(y)
    binding = session.io_binding()
    values = {name: ort.OrtValue.ortvalue_from_numpy(value) for name, value in feeds.items()}
    for name, value in values.items():
        binding.bind_ortvalue_input(name, value)
    binding.bind_ortvalue_output(session.get_outputs()[0].name, held)
    session.run_with_iobinding(binding)
    return y
