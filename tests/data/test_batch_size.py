"""One rule for inputs per run: the model's own number, the requested one, or the default."""

import numpy as np
import pytest

from reluflow.data import DEFAULT_BATCH, InputSpec, agreed_batch_size, fixed_batch_size, open_data
from reluflow.errors import OptionError

FREE = InputSpec("x", np.dtype("f4"), ("n", 3))
MADE_FOR_4 = InputSpec("y", np.dtype("f4"), (4, 3))
UNKNOWN = InputSpec("z", np.dtype("f4"), None)


@pytest.mark.parametrize(
    ("inputs", "wanted", "agreed"),
    [
        ([FREE], None, None),
        ([FREE], 7, 7),
        ([UNKNOWN], 7, 7),
        ([MADE_FOR_4], None, 4),
        ([MADE_FOR_4], 4, 4),
        ([FREE, MADE_FOR_4], None, 4),
    ],
)
def test_the_model_comes_first_then_the_one_asked_for(inputs, wanted, agreed):
    assert agreed_batch_size(inputs, wanted) == agreed
    assert fixed_batch_size(inputs) == (4 if MADE_FOR_4 in inputs else None)


@pytest.mark.parametrize("inputs", [[MADE_FOR_4], [FREE, MADE_FOR_4], [MADE_FOR_4, UNKNOWN]])
@pytest.mark.parametrize("wanted", [1, 3, 8])
def test_another_than_the_models_own_is_refused(inputs, wanted):
    with pytest.raises(
        OptionError, match=rf"batch_size is {wanted}, but input 'y' wants .* use batch size 4"
    ):
        agreed_batch_size(inputs, wanted)


def test_a_source_falls_back_on_the_usual_one():
    free = open_data(np.zeros((8, 3), "f4"), [FREE])
    made = open_data(np.zeros((8, 3), "f4"), [MADE_FOR_4])
    assert free.fitting_batch_size(None) == DEFAULT_BATCH
    assert free.fitting_batch_size(None, 128) == 128
    assert free.fitting_batch_size(5) == 5
    assert made.fitting_batch_size(None, 128) == 4
    with pytest.raises(OptionError, match="batch_size is 5, but input 'y' wants"):
        made.fitting_batch_size(5)
