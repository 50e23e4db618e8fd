"""How many examples a probe takes."""

import math

import pytest

from reluflow.errors import OptionError
from reluflow.temperature.crossing.part_size import PartSize


def test_only_numbers_and_auto_are_taken() -> None:
    with pytest.raises(OptionError, match="examples is 'few'; give a number"):
        PartSize("few")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="examples is 0, but a distance wants at least 1"):
        PartSize(0)


@pytest.mark.parametrize("samples", [1, 16])
def test_as_many_are_left_unchanged_at_every_temperature(samples: int) -> None:
    size = PartSize("auto")
    size.see([samples * 8, samples * 8 * 4], examples=8)
    least, left = (16, 0.25) if samples == 16 else (32, 2.0)
    for bits in (0.0, 3.9, 4.1, 5.9, 6.1, 8.5):
        number = size.at(bits, probes=5)
        assert number is not None and number >= least and math.log2(number) % 1 == 0
        assert number * 2.0**-bits >= left
        assert number == least or number * 2.0**-bits < 2 * left
        assert number == size.up_to(bits)[-1] and size.up_to(bits)[0] == least
        assert size.at(bits, probes=4) is None
    size.take_whole()
    assert size.at(3.0, probes=9) is None and size.up_to(9.0) == [] and not size.is_used
    assert PartSize(24).up_to(9.0) == [24] and PartSize(24).at(9.0, probes=0) == 24
