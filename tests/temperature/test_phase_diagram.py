import json
from pathlib import Path

import numpy as np
import pytest

from reluflow.errors import DataError, OutputError
from reluflow.temperature import LogNormal, PhaseDiagram, Sensitivity, sweep

STEPS = [0, 100, 200]


def at(mu: float) -> Sensitivity:
    def measure(rate: float) -> dict[str, float]:
        return {
            "one": float(LogNormal(mu, 1.0).distance(rate)),
            "two": float(LogNormal(mu, 2.0).distance(rate)),
        }

    return sweep(measure, np.geomspace(1e-4, 1e2, 20))


@pytest.fixture(scope="module")
def diagram() -> PhaseDiagram:
    still = sweep(lambda rate: {"one": 0.0, "two": 0.0}, np.geomspace(1e-4, 1e2, 20))
    return PhaseDiagram.from_sweeps(STEPS, [at(-4.0), at(-2.0), still], [0.1, 0.2, 0.3])


def test_mu_and_sigma_follow_the_transition(diagram: PhaseDiagram) -> None:
    assert diagram.distances.shape == (3, 20) and diagram.site_distances.shape == (3, 20, 2)
    assert diagram.mu[:2] == pytest.approx([-4.0, -2.0], abs=0.05)
    assert np.all((diagram.sigma[:2] > 1) & (diagram.sigma[:2] < 2))
    assert np.isnan(diagram.mu[2]) and np.isnan(diagram.sigma[2])


def test_one_site_has_its_own_diagram(diagram: PhaseDiagram) -> None:
    two = diagram.of_site("two")
    assert two.sites == ("two",) and two.sigma[:2] == pytest.approx([2.0, 2.0], abs=1e-5)
    assert np.nanmax(two.squared_error()) < 1e-10 < np.nanmax(diagram.squared_error()) < 0.01
    with pytest.raises(DataError, match="site is 'three'; accepted are one, two"):
        diagram.of_site("three")


def test_a_diagram_is_read_back_as_it_was(diagram: PhaseDiagram, tmp_path: Path) -> None:
    back = PhaseDiagram.load(diagram.save(tmp_path / "phases.npz"))
    assert back.sites == diagram.sites
    for name in ("steps", "rates", "site_distances", "used_rates", "mu", "sigma"):
        np.testing.assert_array_equal(getattr(back, name), getattr(diagram, name))
    told = json.loads(json.dumps(back.to_dict(), allow_nan=False))
    assert told["mu"][2] is None and told["steps"] == STEPS


def test_used_rates_may_be_unknown() -> None:
    assert np.all(np.isnan(PhaseDiagram.from_sweeps([3], [at(0.0)]).used_rates))


def test_bad_diagrams_are_refused(diagram: PhaseDiagram, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"steps are \[2, 1\] for 2 sweeps"):
        PhaseDiagram.from_sweeps([2, 1], [at(0.0), at(1.0)])
    with pytest.raises(DataError, match="used_rates has 1 of 2"):
        PhaseDiagram.from_sweeps([1, 2], [at(0.0), at(1.0)], [0.1])
    with pytest.raises(DataError, match="the sweep at step 2 has other rates or sites"):
        PhaseDiagram.from_sweeps([1, 2], [at(0.0), sweep(lambda rate: 0.5, [0.1])])
    with pytest.raises(OutputError, match=r"give a name that ends in .npz"):
        diagram.save(tmp_path / "phases.json")
    with pytest.raises(OutputError, match="cannot write"):
        diagram.save(tmp_path / "missing" / "phases.npz")
    with pytest.raises(OutputError, match="does not exist; give a saved diagram"):
        PhaseDiagram.load(tmp_path / "nothing.npz")
    np.savez(tmp_path / "other.npz", steps=[1])
    with pytest.raises(OutputError, match="is no phase diagram of version 1"):
        PhaseDiagram.load(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(OutputError, match="is no phase diagram of version 1"):
        PhaseDiagram.load(tmp_path / "text.npz")
