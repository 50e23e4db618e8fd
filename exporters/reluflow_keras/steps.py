"""The steps of `fit`, seen and steered from a callback on every backend."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from reluflow.errors import OptionError
from reluflow_keras.passes import Before, Passes, copied
from reluflow_keras.switches import Tapped

Values = dict[str, np.ndarray]
_TRAINED, _OTHER, _OPTIMIZER, _METRICS = range(4)


class Step:
    """One call of Keras's train function: what it reads, what it changes, and whether it is undone.

    On torch and TensorFlow the model's variables are the state. On JAX it is passed along, and the
    variables are empty meanwhile: they are filled where something is to be read.

    Args:
        model: that is trained.
        passes: of the same, with its pre-activations as outputs.
        call: the train function.
        args: that Keras gave it.

    Attributes:
        result: what the train function returned; None before `make`.

    Example:
        >>> layer = keras.layers.Dense(3, "relu", name="dense", kernel_initializer="ones")
        >>> network = keras.Sequential([keras.Input((2,)), layer])
        >>> network.compile(keras.optimizers.SGD(name="own"), "mse")
        >>> class Seen(StepCallback):
        ...     def take(self, step):
        ...         step.use(0.25)
        ...         before = step.values()
        ...         undone = step.trial(100.0)["dense"]
        ...         again = step.values()["dense"]
        ...         print((again == before["dense"]).all(), (undone == again).all())
        ...         kept = step.copy()
        ...         step.restore(kept)
        ...         start = step.before(None, keeps_weights=True, keeps_moments=False)
        ...         step.make()
        ...         shares, norms = step.changes(start, None, part=1.0)
        ...         print(len(step.weights()), [len(each) for each in shares], len(norms))
        ...         print(step.rate, step.iterations, step.moments(), step.optimizer.name)
        >>> x = np.ones((4, 2), "float32")
        >>> _ = network.fit(x, np.zeros((4, 3)), verbose=0, callbacks=[Seen()])
        True False
        2 [4] 2
        0.25 1 [] own
    """

    def __init__(self, model: Any, passes: Passes, call: Callable[..., Any], args: Any) -> None:
        self._model, self._passes, self._call = model, passes, call
        *state, self._feed = args
        self._state: Any = [list(part) for part in state[0]] if state else None
        self._batch: Any = None
        self._seeds: list[Any] = []
        self._random: Any = None
        self.result: Any = None

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self._passes.tapped.name)

    @property
    def sites(self) -> list[str]:
        """Names of the switch sites, in the order of the latest pass."""
        return self._passes.tapped.sites

    @property
    def optimizer(self) -> Any:
        """The optimiser of the model.

        `Callback.model` is not to be read inside a step: on JAX it would fill the model's variables
        with a state that is gone.
        """
        return self._model.optimizer

    @property
    def iterations(self) -> int:
        """Steps that the optimiser has made."""
        return int(keras.ops.convert_to_numpy(self._read(self._model.optimizer.iterations)))

    @property
    def examples(self) -> int:
        """Number of examples of the batch."""
        return _size(self._inputs(None))

    def use(self, rate: float, factor: float = 1.0) -> None:
        """Set the rate of the coming step.

        Args:
            rate: above 0.
            factor: of the velocities of SGD, which hold the rates of earlier steps.
        """
        if factor != 1.0:
            self._scale_velocities(factor)
        variable = self._model.optimizer._learning_rate
        if self._state is None:
            variable.assign(rate)
        else:
            # It goes to the device with the call of the step.
            self._state[_OPTIMIZER][self._place(variable)] = np.asarray(rate, variable.dtype)

    def make(self) -> None:
        """Take the step."""
        feed = self._feed
        if self._batch is not None:
            feed = [self._batch] if isinstance(feed, list) else iter([self._batch])
        if self._state is None:
            self.result = self._call(feed)
        else:
            self.result = self._call(tuple(self._state), feed)
            self._state = [list(part) for part in self.result[1]]

    def _scale_velocities(self, factor: float) -> None:
        for variable in self._model.optimizer.momentums:
            scaled = keras.ops.multiply(self._read(variable), factor)
            if self._state is None:
                variable.assign(scaled)
            else:
                self._state[_OPTIMIZER][self._place(variable)] = scaled

    def trial(self, rate: float, factor: float = 1.0, examples: int | None = None) -> Values:
        """Return the pre-activations after a step of some rate, which is undone.

        Args:
            rate: above 0.
            factor: of the velocities, as for `use`.
            examples: how many first ones; None: all.

        Returns:
            Site -> `(samples, units)`.
        """
        self._build()
        kept, random = self.copy(), random_state()
        self.use(rate, factor)
        self.make()
        values = self.values(examples=examples)
        self.restore(kept)
        set_random_state(random)
        self.result = None
        return values

    @property
    def rate(self) -> float:
        """Learning rate of the coming step, or of the one taken."""
        return float(keras.ops.convert_to_numpy(self._read(self._model.optimizer._learning_rate)))

    def values(self, x: Any = None, examples: int | None = None) -> Values:
        """Return the pre-activations of a batch now; what a pass changes is undone.

        Args:
            x: the batch; None: that of the step.
            examples: how many first ones; None: all.

        Returns:
            Site -> `(samples, units)`.
        """
        x = self._first(x, examples)
        with self._drawing_alike(x):
            found = self._passes.values(self.weights(), self._seeds, x)
        arrays = [keras.ops.convert_to_numpy(each) for each in found]
        return dict(zip(self.sites, arrays, strict=True))

    def before(self, examples: int | None, *, keeps_weights: bool, keeps_moments: bool) -> Before:
        """Return what a probe takes from the state before the step.

        Args:
            examples: how many first ones of the batch it is made on; None: all.
            keeps_weights: whether the weights are copied.
            keeps_moments: whether those of the optimiser are.
        """
        x = self._first(None, examples)
        moments = self.moments() if keeps_moments else []
        with self._drawing_alike(x):
            return self._passes.before(self.weights(), self._seeds, x, moments, keeps_weights)

    def changes(
        self, before: Before, examples: int | None, part: float, kept: float = 1.0
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Return at which share of the step each sample changes first, found on the device.

        Args:
            before: what `before` returned.
            examples: as for it.
            part: of the step, after which pre-activations are looked at too; 1: only after all.
            kept: factor of what was kept of the moments, or else of the weights.

        Returns:
            As `Passes.changes` does: the norm of the weights before, and of the moments now, or
            else of the weights, less `kept` times what they were.
        """
        weights, later = self.weights(), []
        earlier = before.moments or before.weights
        if earlier:
            later = self.moments() if before.moments else weights
        x = self._first(None, examples)
        with self._drawing_alike(x):
            return self._passes.changes(before, weights, x, part, (earlier, later), kept)

    def _first(self, x: Any, examples: int | None) -> Any:
        x = self._inputs(x)
        return x if examples is None else _first(x, examples)

    @contextmanager
    def _drawing_alike(self, x: Any) -> Iterator[None]:
        """Let a pass draw what the first one of this step has drawn, and leave no trace."""
        if self._random is None:
            self._passes.build(x)
            self._seeds, self._random = self._copies(_OTHER), random_state()
        now = random_state()
        set_random_state(self._random)
        try:
            yield
        finally:
            set_random_state(now)

    def weights(self) -> list[Any]:
        """Return the trained weights, arrays of the backend that the next step changes or frees."""
        return self._now(_TRAINED)

    def moments(self) -> list[Any]:
        """Return the averages of the gradients that SGD and Adam keep, in the order of `weights`.

        They are arrays like those, and none of another optimiser, or without momentum.
        """
        self._build()
        optimizer = self._model.optimizer
        kept = getattr(optimizer, "momentums", None) or getattr(optimizer, "_momentums", None) or []
        return [self._read(each) for each in kept]

    def _build(self) -> None:
        if not self._model.optimizer.built:
            self._model.optimizer.build(self._model.trainable_variables)

    def copy(self) -> list[list[Any]]:
        """Return copies of all that a step changes."""
        return [self._copies(part) for part in (_TRAINED, _OTHER, _OPTIMIZER, _METRICS)]

    def restore(self, kept: list[list[Any]]) -> None:
        """Put back what `copy` returned; it may be put back again.

        Args:
            kept: by `copy`.
        """
        if self._state is not None:  # the next step gives these arrays away to its result
            kept = [copied(part) for part in kept]
        *rest, metrics = kept
        for part, values in enumerate(rest):
            self._write(part, values)
        if len(metrics) == len(self._variables(_METRICS)):
            self._write(_METRICS, metrics)
        else:  # those of the very first step are made by it
            self._model.reset_metrics()

    def _inputs(self, x: Any) -> Any:
        """Return a batch of inputs; None: that of the step."""
        return keras.utils.unpack_x_y_sample_weight(self._peek())[0] if x is None else x

    def _peek(self) -> Any:
        """Return the batch of the step, taken from its iterator once."""
        if self._batch is None:
            is_list = isinstance(self._feed, list)
            self._batch = self._feed[0] if is_list else next(self._feed)
        return self._batch

    def _variables(self, part: int) -> list[Any]:
        model = self._model
        if part == _TRAINED:
            return list(model.trainable_variables)
        if part == _OTHER:
            return list(model.non_trainable_variables)
        return list(model.optimizer.variables if part == _OPTIMIZER else model.metrics_variables)

    def _now(self, part: int) -> list[Any]:
        if self._state is not None:
            return list(self._state[part])
        return [variable.value for variable in self._variables(part)]

    def _copies(self, part: int) -> list[Any]:
        return copied(self._now(part))

    def _write(self, part: int, values: list[Any]) -> None:
        if self._state is None:
            _assign(self._variables(part), values)
            return
        before = self._state[part]
        self._state[part] = [
            keras.ops.convert_to_tensor(value, dtype=old.dtype)
            for value, old in zip(values, before, strict=True)
        ]

    def _place(self, variable: Any) -> int:
        return next(i for i, each in enumerate(self._variables(_OPTIMIZER)) if each is variable)

    def _read(self, variable: Any) -> Any:
        if self._state is None:
            return variable.value
        return self._state[_OPTIMIZER][self._place(variable)]


def _size(x: Any) -> int:
    """Return the number of examples of a batch."""
    return int(np.shape(keras.tree.flatten(x)[0])[0])


def _first(x: Any, examples: int) -> Any:
    """Return the first examples of a batch."""
    size = _size(x)

    def cut(array: Any) -> Any:
        return array[:examples] if np.shape(array)[:1] == (size,) else array

    return keras.tree.map_structure(cut, x)


def random_state() -> list[Any]:
    """Return the state of generators that are no variables: on torch, dropout draws from them.

    Example:
        >>> set_random_state(random_state())
    """
    if keras.backend.backend() != "torch":
        return []
    torch = sys.modules["torch"]  # Keras has it; nothing here imports it
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return [torch.get_rng_state(), cuda]


def set_random_state(state: list[Any]) -> None:
    """Put back what `random_state` returned.

    Args:
        state: by `random_state`.

    Example:
        >>> set_random_state(random_state())
    """
    if state:
        torch = sys.modules["torch"]
        torch.set_rng_state(state[0])
        if state[1]:
            torch.cuda.set_rng_state_all(state[1])


def _assign(variables: list[Any], values: list[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


class StepCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """A callback that takes part in every step of `fit`; subclasses say how.

    Raises:
        OptionError: when the training starts, its steps cannot be told apart or its rate is not
            settable.

    Example:
        >>> class Count(StepCallback):
        ...     steps = 0
        ...     def take(self, step):
        ...         super().take(step)
        ...         self.steps += 1
        >>> network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, "relu")])
        >>> network.compile("sgd", "mse")
        >>> count = Count()
        >>> x = np.ones((4, 2), "float32")
        >>> _ = network.fit(x, np.zeros((4, 3)), 2, verbose=0, callbacks=[count])
        >>> count.steps
        2
    """

    def __init__(self) -> None:
        super().__init__()
        self._passes: Passes | None = None
        self._own: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Stand between `fit` and its train function."""
        model = self.model
        if getattr(model, "steps_per_execution", 1) != 1:
            raise OptionError(
                f"steps_per_execution is {model.steps_per_execution}, so single steps cannot be "
                "seen; give compile() 1."
            )
        if self._passes is None or self._passes.tapped.network is not model:
            tapped, is_eager = Tapped(model), bool(model.run_eagerly)
            tapped.compile(run_eagerly=is_eager)
            self._passes = Passes(tapped, is_eager=is_eager)
        inner, is_over = model.train_function, [False]
        passes = self._passes

        def train_function(*args: Any) -> Any:
            if is_over[0]:
                return inner(*args)
            step = Step(model, passes, inner, args)
            self.take(step)
            return step.result

        self._own, self._is_over, self._inner = train_function, is_over, inner
        model.train_function = train_function

    def on_train_end(self, logs: Any = None) -> None:
        """Step aside."""
        self._is_over[0] = True
        if self.model.train_function is self._own:
            self.model.train_function = self._inner

    def take(self, step: Step) -> None:
        """Take a step, and see or steer it.

        Args:
            step: that `fit` asks for.
        """
        step.make()
