"""Files that fuzzers found to end in something else than a refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import reluflow
from reluflow.data import InputSpec, open_data
from reluflow.drift import load_reference
from reluflow.errors import ReluflowError

FINDS = sorted((Path(__file__).parent / "finds").iterdir())
IMAGE = InputSpec("x", np.dtype(np.float32), ("N", 1, 4, 4))
READERS: dict[str, Callable[[Path], object]] = {
    "data": lambda path: open_data(path, [IMAGE]),
    "patterns": reluflow.read_patterns,
    "reference": load_reference,
}


@pytest.mark.parametrize("path", FINDS, ids=lambda path: path.name)
def test_it_is_refused_in_a_sentence(path: Path) -> None:
    with pytest.raises(ReluflowError) as caught:
        READERS[path.name.split("-")[0]](path)
    assert len(str(caught.value)) > 25
