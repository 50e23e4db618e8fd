"""Find the plain module inside the wrappers of torch.compile and DistributedDataParallel."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim import Optimizer

from reluflow.errors import OptionError
from reluflow_torch.sites.modules import all_modules


def called_module(model: nn.Module) -> nn.Module:
    """Return the outermost module whose `forward` sees the batch as the model does.

    A compiled module is called outside its graph, so hooks on it are not compiled; DDP calls
    the module inside it.

    Raises:
        OptionError: the model is wrapped in `DataParallel`, which copies it at every pass.
    """
    if isinstance(model, DataParallel):
        raise OptionError(
            "model is a DataParallel, which copies the module at every pass; wrap it in "
            "DistributedDataParallel, or give the scheduler a model on one device."
        )
    return called_module(model.module) if isinstance(model, DistributedDataParallel) else model


def eager_module(model: nn.Module) -> nn.Module:
    """Return the module without DDP and without `torch.compile` around it."""
    inner: Any = model
    while True:
        if isinstance(inner, DistributedDataParallel):
            inner = inner.module
        elif isinstance(getattr(inner, "_orig_mod", None), nn.Module):
            inner = inner._orig_mod
        else:
            return inner  # type: ignore[no-any-return]


def is_compiled(model: nn.Module) -> bool:
    """Tell whether the model or a part of it runs as a compiled graph."""
    return any(
        "_orig_mod" in module._modules or module._compiled_call_impl is not None
        for module in all_modules(model)
    )


def eagerly(model: nn.Module) -> AbstractContextManager[Any]:
    """Return a context in which compiled functions and parts of a model run as they are written.

    Before torch 2.6 a compiled function inside a model stays compiled, and hides its operators.

    Args:
        model: an eager module, perhaps with compiled parts.

    Raises:
        OptionError: the model has compiled parts, and this torch cannot run them as written.
    """
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    if hasattr(torch.compiler, "set_stance"):  # from torch 2.6 on
        return torch.compiler.set_stance("force_eager")  # type: ignore[no-any-return]
    if is_compiled(model):
        raise OptionError(
            f"model {type(model).__name__} has compiled parts, which torch {torch.__version__} "
            "cannot run as they are written; wrap the whole model by torch.compile(model), or "
            "install torch 2.6 or a later one."
        )
    return nullcontext()


def bare_optimizer(optimizer: Any) -> Any:
    """Return the optimiser inside the wrappers of frameworks and of other optimisers.

    Accelerate, Lightning and Lookahead hold it as `optimizer`, SAM as `base_optimizer`; it takes
    the step, at the weights that its wrapper has put back.
    """
    for name in ("optimizer", "base_optimizer"):
        inner = getattr(optimizer, name, None)
        if isinstance(inner, Optimizer):
            return bare_optimizer(inner)
    return optimizer
