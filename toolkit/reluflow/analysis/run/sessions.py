"""The two graphs of an analysis: one outputs pre-activations, one hashes them itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reluflow.analysis.run.blocked import open_hashing
from reluflow.analysis.run.options import RANDOM_WORDS, AnalysisOptions
from reluflow.errors import ModelError
from reluflow.graph import CutOff, HashedTap, Model, Rewritten, Tap, cut_tail, hash_taps
from reluflow.sessions import Session, open_session, use_library


@dataclass(frozen=True, slots=True)
class Shown:
    """The results of one run.

    Attributes:
        outputs: output name -> array.
        hashed: one entry per site: the outputs that hold its fingerprints, None where its
            pre-activations are shown.
    """

    outputs: Mapping[str, np.ndarray]
    hashed: Sequence[HashedTap | None]


class Sessions:
    """Runs the tapped model, with its pre-activations as outputs or hashed in the graph.

    The graph that hashes is built and opened when it first runs: an analysis whose inputs are all
    sampled does not need it.

    Attributes:
        hashes: whether there is a graph that hashes.
        plain: the session that shows the pre-activations.
    """

    def __init__(
        self,
        model: Model,
        tapped: Rewritten[tuple[Tap, ...]],
        options: AnalysisOptions,
        threads: int,
        note: Callable[[str], None],
    ) -> None:
        """Open the session that shows the pre-activations.

        Args:
            model: the model as loaded.
            tapped: its taps.
            options: settings.
            threads: of ONNX Runtime.
            note: takes sentences that the reader of the report should know.

        Raises:
            OptionError: the native library is wanted and missing.
            ModelError: ONNX Runtime cannot load what leads to the sites.
        """
        self._model, self._tapped, self._options = model, tapped, options
        self._threads, self._note = threads, note
        self.hashes = options.hash == RANDOM_WORDS and use_library(options.native)
        self.plain = self._open(tapped.model, _outputs(tapped.done, ()))

    @functools.cached_property
    def _hashing(self) -> tuple[Session, Sequence[HashedTap | None]]:
        taps, seed = self._tapped.done, self._options.seed
        made = hash_taps(self._tapped.model, taps, keep=self._model.outputs, seed=seed)
        return self._open(made.model, _outputs(taps, made.done), open_hashing), made.done

    def show(self, feeds: Mapping[str, np.ndarray], *, shrink: bool) -> Shown:
        """Run the graph that shows the pre-activations.

        Args:
            feeds: input name -> array.
            shrink: return memory that the session would keep for its next run.
        """
        values = self.plain.run(feeds, shrink=shrink)
        found = dict(zip(self.plain.outputs, values, strict=True))
        return Shown(found, [None] * len(self._tapped.done))

    def hashing(self) -> Callable[[Mapping[str, np.ndarray]], Shown]:
        """Return the function that runs the graph that hashes; the first call opens its session.

        Raises:
            ModelError: ONNX Runtime cannot load that graph.
        """
        session, hashed = self._hashing

        def run(feeds: Mapping[str, np.ndarray]) -> Shown:
            return Shown(dict(zip(session.outputs, session.run(feeds), strict=True)), hashed)

        return run

    def stop(self) -> None:
        """End the run in progress, whichever session it belongs to."""
        self.plain.stop()
        if "_hashing" in vars(self):
            self._hashing[0].stop()

    def _open(
        self,
        model: Model,
        outputs: Sequence[str],
        opener: Callable[..., Session] = open_session,
    ) -> Session:
        """Open a session; where the model does not load, leave out what comes after the sites.

        Raises:
            ModelError: ONNX Runtime cannot load what leads to the sites either.
        """
        optimisation = self._options.optimisation
        opened = functools.partial(
            opener, outputs=outputs, threads=self._threads, optimisation=optimisation
        )
        # The whole model first: its outputs may be wanted, and its errors name the user's nodes.
        # What fails is often behind the last switch (an operator of another runtime), where nothing
        # is looked at.
        try:
            return opened(model)
        except ModelError as error:
            cut = cut_tail(model, outputs)
            if not cut.done.nodes:
                raise
            try:
                session = opened(cut.model)
            except ModelError:
                raise error from None  # the first error: cutting did not help
            self._note_cut(cut.done, error)
            return session

    def _note_cut(self, cut: CutOff, error: ModelError) -> None:
        gone = ", ".join(name for name in cut.outputs if name in self._model.outputs)
        self._note(
            f"{len(cut.nodes)} nodes behind the last switches were left out (outputs: "
            f"{gone or 'none'}), since {error}"
        )


def _outputs(taps: Sequence[Tap], hashed: Sequence[HashedTap | None]) -> list[str]:
    """Return the outputs that show all taps, each once."""
    names: list[str] = []
    for index, each in enumerate(taps):
        found = hashed[index] if hashed else None
        names += [found.keys, found.active, found.nonfinite] if found else [each.output]
    return list(dict.fromkeys(names))
