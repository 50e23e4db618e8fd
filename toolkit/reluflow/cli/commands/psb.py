"""`reluflow psb`: convert a model to stochastic shift-adds, measure it, look at it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from reluflow._api.allocation import allocate_samples
from reluflow._api.attention import evaluate_attention
from reluflow._api.cascade import evaluate_cascade
from reluflow._api.deploy import convert as run_conversion
from reluflow._api.deploy import inline_psb
from reluflow._api.evaluation import evaluate as run
from reluflow._api.evaluation import inspect_psb, profile_psb
from reluflow.attention import AttentionOptions, CascadeOptions
from reluflow.cli import _options
from reluflow.cli._progress import progress_bar
from reluflow.cli._words import in_options, naming
from reluflow.cli._wrote import say_written
from reluflow.errors import OptionError
from reluflow.evaluation import Conversion, EvaluationOptions, ProfileOptions, PsbDescription
from reluflow.graph import PsbOptions
from reluflow.report import (
    print_allocation,
    print_attention,
    print_cascade,
    print_chains,
    print_conversion,
    print_evaluation,
    print_psb_description,
    print_psb_profile,
)

app = typer.Typer(
    name="psb",
    help="Stochastic shift-adds: convert a model, measure it, look into it.",
    no_args_is_help=True,
)

Bits = Annotated[
    str,
    typer.Option(
        "--p-bits",
        help="Bits of each weight's probability: 1, 2, 3, 4, 6, 8 or 16. With auto, each layer "
        "gets its own by the error on --calibrate, in a file no larger than that of 4.",
    ),
]
Sampler = Annotated[
    str,
    typer.Option(
        "--sampler", help="How the numbers of ones are drawn: systematic, binomial or nearest."
    ),
]
Draws = Annotated[
    str,
    typer.Option(
        "--draws",
        help="How often is drawn: once per weight and run (run), or per multiplication (product).",
    ),
]
Prune = Annotated[
    float, typer.Option("--prune", help="Share of the weights to set to 0, from 0 to below 1.")
]
Scope = Annotated[
    str | None,
    typer.Option(
        "--prune-scope",
        help="What --prune is a share of: each tensor (tensor, by default) or all weights "
        "(global).",
    ),
]
_DEFAULT = PsbOptions()
_RUNS = ProfileOptions().runs
_EVALUATION, _CASCADE = EvaluationOptions(), CascadeOptions()
_ALL_SAMPLES = ",".join(map(str, _EVALUATION.samples))


@app.command("convert")
def convert(
    model: Annotated[Path, typer.Argument(help="ONNX file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")],
    p_bits: Bits = str(_DEFAULT.p_bits),
    sampler: Sampler = _DEFAULT.sampler,
    draws: Draws = _DEFAULT.draws,
    prune: Prune = 0.0,
    prune_scope: Scope = None,
    small: Annotated[
        str,
        typer.Option(
            "--small", help="What becomes of weights too small to store: zero, smallest or random."
        ),
    ] = _DEFAULT.small_weights,
    x_bits: Annotated[
        str,
        typer.Option(
            "--x-bits",
            help="Bits per activation, 2 to 16. With --calibrate, layers pass integers of so many "
            "bits to each other: bytes with 8, else int16. With auto, as many layers pass bytes as "
            "the error on --calibrate allows; the others get 12 or 16.",
        ),
    ] = str(_DEFAULT.x_bits),
    x_loss: Annotated[
        float | None,
        typer.Option(
            "--x-loss",
            help="Loss that --x-bits auto accepts for bytes, in dB of SQNR; 3 by default.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude", help="Name of a node that stays in floating point; may be repeated."
        ),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            "--calibrate",
            help="Data that fix the scales of the activations; by default each run finds its own.",
        ),
    ] = None,
    chains: Annotated[
        bool,
        typer.Option(
            "--chains/--no-chains",
            help="Let layers pass integers to each other where --calibrate tells the scales; else "
            "floats.",
        ),
    ] = True,
    fuse: Annotated[
        bool,
        typer.Option(
            "--fuse/--no-fuse",
            help="Also convert additions and activations between the converted layers.",
        ),
    ] = True,
    input_defaults: Annotated[
        bool,
        typer.Option(
            "--input-defaults/--no-input-defaults",
            help="Give the inputs samples and seed the default 0; else each run has to set both.",
        ),
    ] = True,
    tune: Annotated[
        str | None,
        typer.Option(
            "--tune",
            help="Choose weights and biases on the --calibrate data, without labels: equalise, "
            "follow, feedback, bias, with commas between, or usual for the last three (for "
            "feedback, bias with --x-bits 8); not by default.",
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget",
            help="With --tune: mean number of samples over all multiplications, from 2 to 64. Each "
            "layer gets its own number, and weights made for it; not by default.",
        ),
    ] = None,
    limit: _options.Limit = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of --small random; 0 by default.")
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check", help="Compare the result with the model before writing."
        ),
    ] = True,
    as_json: _options.Json = False,
) -> int:
    """Convert the multiplications of a model to stochastic shift-adds."""
    on_data = {"--limit": limit, "--tune": tune, "--no-chains": None if chains else True}
    _options.refuse_without("--calibrate DATA", calibration is not None, on_data)
    _options.refuse_without("--tune STEPS", tune is not None, {"--budget": budget})
    _options.refuse_without("--x-bits auto", x_bits == "auto", {"--x-loss": x_loss})
    _options.refuse_without("--small random", small == "random", {"--seed": seed})
    _options.refuse_without("--prune SHARE", prune > 0, {"--prune-scope": prune_scope})
    options = PsbOptions(
        sampler=sampler,
        draws=draws,
        prune=prune,
        prune_scope=_DEFAULT.prune_scope if prune_scope is None else prune_scope,
        small_weights=small,
        exclude=tuple(exclude or ()),
        fuse=fuse,
        input_defaults=input_defaults,
        seed=seed or 0,
    )
    with progress_bar() as progress:
        made = run_conversion(
            model,
            out,
            options=options,
            calibration=calibration,
            limit=limit,
            x_bits=_bits("--x-bits", x_bits),
            p_bits=_bits("--p-bits", p_bits),
            x_loss=x_loss,
            tune=() if tune is None else tuple(tune.split(",")),
            chains=chains,
            budget=budget,
            check=check,
            progress=progress,
        )
    description = replace(inspect_psb(made.model), path=str(out))
    if as_json:
        print(json.dumps(_found(made, description, check), indent=2))
    else:
        console = Console()
        print_conversion(made.result, description, console)
        if made.chains is not None:
            print_chains(made.chains.rewritten, console)
        for sentence in made.sentences() if check else made.choices():
            console.print(sentence, highlight=False, soft_wrap=True, markup=False)
    say_written(out, as_json=as_json)
    return 0


@app.command("eval")
def evaluate_model(
    model: Annotated[Path, typer.Argument(help="Converted model, or a float one to convert.")],
    data: _options.Data = None,
    samples: Annotated[
        str | None,
        typer.Option(
            "--samples",
            help="Numbers of samples n to measure at, with commas between; 1,2,4,8,16,32,64 by "
            "default.",
        ),
    ] = None,
    cascade: Annotated[
        str | None,
        typer.Option(
            "--cascade",
            help="Measure a cascade instead: samples of a first pass on everything and of a second "
            "where the first is unsure, as COARSE/FINE, such as 1/16 or 8/float; not by default.",
        ),
    ] = None,
    attention: Annotated[
        str | None,
        typer.Option(
            "--attention",
            help="Measure attention instead: samples of a first pass on all pixels and of a second "
            "where the first is unsure, as BASE/REFINE, each with commas between, such as 1,2/32; "
            "not by default.",
        ),
    ] = None,
    coarse: Annotated[
        Path | None,
        typer.Option(
            "--coarse", help="Model of the first pass of --cascade; by default the same model."
        ),
    ] = None,
    unsure: Annotated[
        str | None,
        typer.Option(
            "--unsure",
            help="What tells that the first pass of --cascade is unsure: entropy, by default, "
            "margin, ratio of the two largest probabilities, or disagreement of two draws.",
        ),
    ] = None,
    loss: Annotated[
        float | None,
        typer.Option(
            "--loss",
            help="Also choose a threshold of --cascade for this loss of accuracy, on half of the "
            "data, such as 0.003; not by default.",
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option("--confidence", help="Confidence with which --loss is kept; 0.95 by default."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="File of right answers, .npz, .npy or idx; by default --data itself if an .npz.",
        ),
    ] = None,
    label_name: Annotated[
        str | None,
        typer.Option(
            "--label-name", help="Name of the array of right answers in an .npz; label by default."
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            help="Name of the output to measure; by default the first that fits the answers.",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            help="Metric: accuracy, iou, r2, rmse, mae, correlation, or a function as "
            "MODULE:FUNCTION or FILE.py:FUNCTION; by default what fits the output.",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            help="Values above this say yes; by default 0.5 for probabilities, 0 for logits.",
        ),
    ] = None,
    float_model: Annotated[
        Path | None,
        typer.Option(
            "--float", help="Float model that the converted one was made from; none by default."
        ),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="Also measure the float model in ONNX Runtime's static int8."),
    ] = False,
    sensitivity: Annotated[
        int | None,
        typer.Option(
            "--sensitivity",
            help="Also measure each layer converted alone, at this many samples; not by default.",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds", help="Number of seeds that the error bars are made of; 5 by default."
        ),
    ] = None,
    p_bits: Annotated[
        int | None,
        typer.Option(
            "--p-bits",
            help="Bits of each weight's probability, for a float model only; 4 by default.",
        ),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            "--sampler",
            help="How the numbers of ones are drawn: systematic, binomial or nearest; by default "
            "as the model was converted, but nearest below 4 samples, which is closer to the "
            "float model than any draw.",
        ),
    ] = None,
    prune: Annotated[
        float | None,
        typer.Option(
            "--prune",
            help="Share of the weights to set to 0, for a float model only; 0 by default.",
        ),
    ] = None,
    limit: _options.Limit = None,
    batch_size: _options.BatchSize = None,
    threads: _options.Threads = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for page, plot and JSON; none by default."),
    ] = None,
    as_json: _options.Json = False,
) -> int:
    """Measure a converted model at several numbers of samples, beside float and int8."""
    data = _options.need_data(data)
    of_cascade = {"--coarse": coarse, "--unsure": unsure, "--loss": loss}
    _options.refuse_without("--cascade COARSE/FINE", cascade is not None, of_cascade)
    _options.refuse_without("--loss SHARE", loss is not None, {"--confidence": confidence})
    others: dict[str, object] = {"--samples": samples, "--metric": metric}
    others |= {
        "--threshold": threshold,
        "--int8": int8 or None,
        "--sensitivity": sensitivity,
        "--seeds": seeds,
    }
    others |= {"--sampler": sampler, "--out": out}
    if cascade is not None:
        _options.refuse_with("--cascade", others | {"--attention": attention})
        with progress_bar() as progress, naming("psb", {"--p-bits": p_bits, "--prune": prune}):
            found = evaluate_cascade(
                model,
                data,
                labels,
                cascade=replace(
                    CascadeOptions.of(cascade),
                    measure=_CASCADE.measure if unsure is None else unsure,
                    loss=loss,
                    confidence=_CASCADE.confidence if confidence is None else confidence,
                    batch_size=batch_size,
                    threads=threads,
                    output=output,
                ),
                coarse=coarse,
                float_model=float_model,
                label_name=label_name,
                psb=_conversion(p_bits, prune),
                limit=limit,
                progress=progress,
            )
        if as_json:
            print(json.dumps(found.to_dict(), indent=2))
        else:
            print_cascade(found, Console())
        return 0
    if attention is not None:
        _options.refuse_with("--attention", others)
        with progress_bar() as progress, naming("psb", {"--p-bits": p_bits, "--prune": prune}):
            table = evaluate_attention(
                model,
                data,
                labels,
                attention=replace(
                    AttentionOptions.of(attention),
                    batch_size=batch_size,
                    threads=threads,
                    output=output,
                ),
                float_model=float_model,
                label_name=label_name,
                psb=_conversion(p_bits, prune),
                limit=limit,
                progress=progress,
            )
        if as_json:
            print(json.dumps(table.to_dict(), indent=2))
        else:
            print_attention(table, Console())
        return 0
    options = EvaluationOptions(
        samples=_samples(_ALL_SAMPLES if samples is None else samples),
        seeds=_EVALUATION.seeds if seeds is None else seeds,
        int8=int8,
        sensitivity=sensitivity,
        batch_size=batch_size,
        threads=threads,
        output=output,
        threshold=threshold,
        sampler=sampler,
    )
    with progress_bar() as progress, naming("psb", {"--p-bits": p_bits, "--prune": prune}):
        result = run(
            model,
            data,
            labels,
            out,
            float_model=float_model,
            metric=metric,
            label_name=label_name,
            psb=_conversion(p_bits, prune),
            options=options,
            limit=limit,
            progress=progress,
        )
    findings = tuple(map(in_options, result.findings))
    result = replace(result, findings=findings, notes=tuple(map(in_options, result.notes)))
    if as_json:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        print_evaluation(result, Console())
    if out is not None:
        say_written(out / "psb.html", as_json=as_json)
    return 0


@app.command("allocate")
def allocate(
    model: Annotated[Path, typer.Argument(help="Converted model.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")],
    data: _options.Data = None,
    budget: Annotated[
        float,
        typer.Option(
            "--budget", help="Mean number of samples over all multiplications, from 1 to 64."
        ),
    ] = 4.0,
    sampler: Annotated[
        str | None,
        typer.Option(
            "--sampler",
            help="How all layers draw: systematic, binomial or nearest; by default as the model "
            "was converted, but nearest where a layer gets fewer than 4 samples.",
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", help="Runs of each layer and number of samples that draws.")
    ] = 1,
    limit: _options.Limit = None,
    batch_size: _options.BatchSize = None,
    threads: _options.Threads = None,
    as_json: _options.Json = False,
) -> int:
    """Write the model with a number of samples for each layer, whose mean keeps to a budget."""
    data = _options.need_data(data)
    with progress_bar() as progress:
        found = allocate_samples(
            model,
            data,
            budget,
            out,
            sampler=sampler,
            seeds=seeds,
            limit=limit,
            batch_size=batch_size,
            threads=threads,
            progress=progress,
        )
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        print_allocation(found, Console())
    say_written(out, as_json=as_json)
    return 0


@app.command("inline")
def inline(
    model: Annotated[Path, typer.Argument(help="Converted model.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")],
    nearest: Annotated[
        bool,
        typer.Option(
            "--nearest/--draws",
            help="Leave the random draws out: a smaller file, in which the seed has no effect.",
        ),
    ] = False,
    input_defaults: Annotated[
        bool,
        typer.Option(
            "--input-defaults/--no-input-defaults",
            help="Keep the defaults of the inputs samples and seed; else each run has to set both.",
        ),
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check/--no-check", help="Run the result beside the model before writing."),
    ] = True,
    as_json: _options.Json = False,
) -> int:
    """Write a converted model in ONNX's own operators alone, for browsers and other runtimes."""
    made = inline_psb(model, out, nearest=nearest, input_defaults=input_defaults, check=check)
    if as_json:
        print(json.dumps(made.to_dict(), indent=2))
    else:
        console = Console()
        for sentence in made.sentences():
            console.print(sentence, highlight=False, soft_wrap=True, markup=False)
    say_written(out, as_json=as_json)
    return 0


@app.command("inspect")
def inspect(
    model: Annotated[Path, typer.Argument(help="Converted model.")],
    profile: Annotated[
        bool,
        typer.Option(
            "--profile", help="Run the model, and show the time of each operator beside float."
        ),
    ] = False,
    float_model: Annotated[
        Path | None,
        typer.Option(
            "--float",
            help="Float model that the converted one was made from; by default float operators "
            "with the stored weights.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            "-d",
            metavar="PATH",
            help="Inputs, of which the first batch is run; by default random ones.",
        ),
    ] = None,
    dim: Annotated[
        list[str] | None,
        typer.Option(
            "--dim",
            help="Size of a free dimension of the random inputs, as NAME=SIZE; may be repeated.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size",
            "-b",
            help="Inputs per run; by default the number the model is made for, or 1.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("--samples", help="Number of samples of the runs; 0, nearest, by default."),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option("--runs", help="Number of runs whose medians are shown; 20 by default."),
    ] = None,
    threads: _options.Threads = None,
    as_json: _options.Json = False,
) -> int:
    """Show what a converted model stores, how much it computes, and where its time goes."""
    flags = {"--float": float_model, "--data": data, "--dim": dim, "--batch-size": batch_size}
    flags |= {"--samples": samples, "--runs": runs, "--threads": threads}
    _options.refuse_without("--profile", profile, flags)
    if not profile:
        description = inspect_psb(model)
        if as_json:
            print(json.dumps(description.to_dict(), indent=2))
        else:
            print_psb_description(description, Console())
        return 0
    found = profile_psb(
        model,
        _options.data_or_random(data, dim),
        float_model=float_model,
        options=ProfileOptions(
            samples=samples or 0,
            runs=_RUNS if runs is None else runs,
            threads=threads,
            batch_size=batch_size,
        ),
    )
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        print_psb_profile(found, Console())
    return 0


def _conversion(p_bits: int | None, prune: float | None) -> PsbOptions | None:
    """Return how a float model is converted; None: nothing was said, as for a converted one."""
    if p_bits is None and prune is None:
        return None
    return PsbOptions(
        p_bits=_DEFAULT.p_bits if p_bits is None else p_bits,
        prune=_DEFAULT.prune if prune is None else prune,
    )


def _found(made: Conversion, model: PsbDescription, check: bool) -> dict[str, Any]:
    """Return a conversion as plain values for JSON."""
    chosen, result = made.activation_bits, made.result
    checked = replace(made, activation_bits=None, chains=None, weight_bits=None)
    return {
        **model.to_dict(),
        "refused": [{"node": r.node, "op": r.op, "reason": r.reason} for r in result.refused],
        "spelled": [asdict(each) for each in result.done.spelled],
        "decoded": [asdict(each) for each in result.done.decoded],
        "unrounded": [asdict(each) for each in result.done.unrounded],
        "notes": result.notes,
        "activation_bits": chosen.to_dict() if chosen else None,
        "tuned": asdict(made.tuned) if made.tuned else None,
        "allocation": made.allocation.to_dict() if made.allocation else None,
        "chained": made.chains.to_dict() if made.chains else None,
        "weight_bits": made.weight_bits.to_dict() if made.weight_bits else None,
        "check": checked.to_dict() if check else None,
    }


_ACCEPTED_BITS = {"--x-bits": "a whole number from 2 to 16", "--p-bits": "1, 2, 3, 4, 6, 8 or 16"}


def _bits(option: str, text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        raise OptionError(
            f"{option} is {text!r}; give {_ACCEPTED_BITS[option]}, or auto."
        ) from None


def _samples(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise OptionError(f"--samples is {text!r}; give whole numbers, e.g. 1,4,16.") from None
