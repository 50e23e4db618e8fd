"""TensorBoard through torch's writer, which is loaded only when used."""

from __future__ import annotations

from typing import Any

from reluflow.errors import OptionError


def new_summary_writer(directory: str) -> Any:
    """Return a new `SummaryWriter`.

    Args:
        directory: of its log.

    Raises:
        OptionError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise OptionError(
            f"tensorboard is {directory!r}, but TensorBoard is not installed; "
            "run pip install tensorboard, or leave the argument out."
        ) from error
    return SummaryWriter(directory)
