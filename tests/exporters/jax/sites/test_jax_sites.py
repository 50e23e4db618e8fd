"""The sites of a function of JAX: which forms count, which axis holds the units."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = jax.numpy
reluflow_jax = pytest.importorskip("reluflow_jax")

from reluflow.errors import DataError  # noqa: E402

rng = np.random.default_rng(3)
X = rng.standard_normal((6, 5)).astype(np.float32)
W = rng.standard_normal((5, 7)).astype(np.float32)

SWITCHES: dict[str, Callable[[Any], Any]] = {
    "relu": jax.nn.relu,
    "maximum": lambda x: jnp.maximum(0, x),
    "clip": lambda x: jnp.clip(x, 0, 6),
    "clamp": lambda x: jax.lax.clamp(0.0, x, 6.0),
    "relu6": jax.nn.relu6,
    "leaky_relu": jax.nn.leaky_relu,
    "where": lambda x: jnp.where(x > 0, x, 0),
    "where_not": lambda x: jnp.where(x <= 0, 0, x),
    "prelu": lambda x: jnp.where(x >= 0, x, jnp.float32(0.2) * x),
    "times_mask": lambda x: x * (x > 0),
    "hard_swish": jax.nn.hard_swish,
    "jit": jax.jit(lambda x: 2.0 * jax.nn.relu(x)),
    "remat": jax.checkpoint(jax.nn.relu),
}
SMOOTH: dict[str, Callable[[Any], Any]] = {
    "gelu": jax.nn.gelu,
    "gelu_erf": lambda x: jax.nn.gelu(x, approximate=False),
    "silu": jax.nn.silu,
    "elu": jax.nn.elu,
    "celu": jax.nn.celu,
    "selu": jax.nn.selu,
    "softplus": jax.nn.softplus,
    "mish": jax.nn.mish,
    "written_silu": lambda x: x * jax.nn.sigmoid(1.5 * x),
}
NONE: dict[str, Callable[[Any], Any]] = {
    "tanh": jnp.tanh,
    "abs": jnp.abs,
    "hard_tanh": jax.nn.hard_tanh,
    "softmax": jax.nn.softmax,
    "log_softmax": jax.nn.log_softmax,
    "maxout": lambda x: jnp.maximum(x, 1.0 - x),
    "variance": lambda x: x / jnp.maximum(0.0, (x**2).mean(0) - x.mean(0) ** 2),
    "layer_norm": lambda x: x / jnp.maximum(0.0, (x**2).mean(1) - x.mean(1) ** 2)[:, None],
    "square": lambda x: x * x,
}


def dense(switch: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda w, x: switch(x @ w)


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_is_a_site_whose_bits_are_those_of_its_input(name: str) -> None:
    forward = dense(SWITCHES[name])
    (site,) = reluflow_jax.sites_of(forward, W, X)
    assert (site.units, site.samples, site.is_smooth) == (7, 6, False)
    out, values = jax.jit(reluflow_jax.taps(forward))(W, X)
    np.testing.assert_allclose(out, forward(W, X), rtol=1e-6)
    shift = 3.0 if name == "hard_swish" else 0.0
    np.testing.assert_allclose(values[site.name], X @ W + shift, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SMOOTH)
def test_a_smooth_relative_is_a_site_on_request(name: str) -> None:
    forward = dense(SMOOTH[name])
    assert reluflow_jax.sites_of(forward, W, X) == ()
    (site,) = reluflow_jax.sites_of(forward, W, X, smooth=True)
    assert site.is_smooth and site.units == 7
    values = reluflow_jax.taps(forward, smooth=True)(W, X)[1]
    np.testing.assert_allclose(values[site.name], X @ W, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_switch_is_no_site(name: str) -> None:
    assert reluflow_jax.sites_of(dense(NONE[name]), W, X, smooth=True) == ()


def test_a_threshold_is_that_of_the_comparison() -> None:
    forward = dense(lambda x: jnp.where(x > 0.3, x, 0.0))
    (site,) = reluflow_jax.sites_of(forward, W, X)
    assert site.threshold == np.float32(0.3)
    values = reluflow_jax.taps(forward)(W, X)[1][site.name]
    assert ((values > 0) == (X @ W > np.float32(0.3))).all()


def test_the_derivative_of_a_tapped_function_is_that_of_the_function() -> None:
    def forward(w: Any, x: Any) -> Any:
        return jax.nn.relu(jax.nn.leaky_relu(x @ w).at[0, 0].set(0.0)).sum()

    wanted = jax.grad(forward)(W, X)
    found = jax.grad(lambda w, x: reluflow_jax.taps(forward)(w, x)[0])(W, X)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("layout", "axis"), [(("NCHW", "OIHW", "NCHW"), 1), (("NHWC", "HWIO", "NHWC"), 3)]
)
def test_the_units_of_a_convolution_are_its_channels(layout: tuple[str, ...], axis: int) -> None:
    is_first = axis == 1
    images = jnp.ones((2, 3, 8, 8) if is_first else (2, 8, 8, 3))
    kernel = jnp.ones((4, 3, 3, 3) if is_first else (3, 3, 3, 4))

    def forward(w: Any, x: Any) -> Any:
        y = jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=layout)
        return jax.nn.relu(y.mean((0, 2, 3) if is_first else (0, 1, 2), keepdims=True) - y)

    (site,) = reluflow_jax.sites_of(forward, kernel, images)
    assert (site.unit_axis, site.units, site.samples) == (axis, 4, 128)


def test_the_units_of_heads_tokens_and_embeddings_are_on_the_last_axis() -> None:
    tokens = jnp.zeros((2, 9), jnp.int32)
    table, heads, out = jnp.ones((50, 8)), jnp.ones((8, 2, 4)), jnp.ones((2, 4, 6))

    def forward(weights: Any, ids: Any) -> Any:
        table, heads, out = weights
        x = jax.nn.relu(table[ids])
        x = jax.nn.relu(jnp.einsum("btd,dhk->bthk", x, heads))
        return jax.nn.relu(jnp.einsum("bthk,hko->bto", x, out))

    found = reluflow_jax.sites_of(forward, (table, heads, out), tokens)
    assert [(site.units, site.samples) for site in found] == [(8, 18), (4, 36), (6, 18)]


def test_one_input_at_a_time_gives_the_same_sites() -> None:
    def one(w: Any, x: Any) -> Any:
        return jax.nn.relu(w.T @ x)

    forward = jax.vmap(one, in_axes=(None, 0))
    (site,) = reluflow_jax.sites_of(forward, W, X)
    values = reluflow_jax.taps(forward)(W, X)[1][site.name]
    np.testing.assert_allclose(values, X @ W, rtol=1e-5, atol=1e-6)


def test_a_value_that_two_switches_read_is_one_site() -> None:
    forward = dense(lambda x: jax.nn.relu(x) + jnp.maximum(x, 0))
    assert len(reluflow_jax.sites_of(forward, W, X)) == 1


def test_a_switch_in_a_loop_is_left_out_and_told() -> None:
    def forward(w: Any, x: Any) -> Any:
        return jax.lax.scan(lambda h, _: (jax.nn.relu(h @ w @ w.T), None), x, None, length=2)

    assert reluflow_jax.sites_of(forward, W, X) == ()
    (left_out,) = reluflow_jax.left_out_of(forward, W, X)
    assert left_out.what == "scan" and "1 switches" in left_out.reason


def test_a_switch_without_a_layer_before_it_is_told() -> None:
    (left_out,) = reluflow_jax.left_out_of(lambda w, x: jax.nn.relu(x) @ w, W, X)
    assert "no layer behind it" in left_out.reason


def test_a_batch_without_an_axis_is_refused() -> None:
    with pytest.raises(DataError, match="no array with a first axis"):
        reluflow_jax.sites_of(lambda w, x: w * x, W, 1.0)
