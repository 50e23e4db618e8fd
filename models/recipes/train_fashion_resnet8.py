"""Trains the ResNet-8 that reluflow ships, exports it to ONNX and writes its card.

Needs torch, onnx, onnxruntime and FashionMNIST as four local idx.gz files (Debian's package
dataset-fashion-mnist). Nothing is downloaded. A run that was interrupted continues with
`--resume` from its last finished epoch and ends with the same weights.

    python models/recipes/train_fashion_resnet8.py
"""

from __future__ import annotations

import argparse
import platform
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import torch  # noqa: TID251  # a recipe runs outside the toolkit
from _card import ModelFacts, file_table, model_facts, node_table
from _fashion_mnist import CLASS_NAMES, DEBIAN_FOLDER, load_fashion_mnist, to_unit_scale
from _resnet8 import ResNet8, export_onnx
from _training import Settings, Trainer, load_checkpoint

MODELS = Path(__file__).resolve().parents[1]
NAME = "fashion_resnet8"
PROPERTIES = {
    "title": "ResNet-8 for FashionMNIST",
    "license": "Apache-2.0",
    "recipe": "models/recipes/train_fashion_resnet8.py",
    "classes": ",".join(CLASS_NAMES),
}


def parse_arguments() -> argparse.Namespace:
    """Reads the command line; every field of `Settings` is an option."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, default=DEBIAN_FOLDER, help="idx.gz files")
    parser.add_argument("--out", type=Path, default=MODELS, help="folder of models and card")
    parser.add_argument(
        "--work-dir", type=Path, default=MODELS.parent / "build" / NAME, help="checkpoints"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    for field in fields(Settings):
        option = "--" + field.name.replace("_", "-")
        parser.add_argument(option, type=type(field.default), default=field.default)
    return parser.parse_args()


def train(options: argparse.Namespace, settings: Settings) -> Trainer:
    """Runs all epochs that are still to do, with a checkpoint after each."""
    stored, labels = load_fashion_mnist(options.data_dir, "train")
    n_used = settings.limit or len(stored)
    images = torch.from_numpy(to_unit_scale(stored[:n_used]))
    options.work_dir.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(settings, images, torch.from_numpy(labels[:n_used]), options.work_dir)
    if options.resume:
        trainer.resume()
    else:
        for old in options.work_dir.glob("epoch*.pt"):
            old.unlink()
    while trainer.finished_epochs < settings.epochs:
        trainer.train_epoch()
        trainer.save()
    return trainer


def export_epoch(trainer: Trainer, epoch: int, path: Path) -> None:
    """Writes the weights after `epoch` finished epochs as an ONNX file."""
    model = ResNet8()
    model.load_state_dict(load_checkpoint(trainer.checkpoint_path(epoch))["model"])
    export_onnx(model, path, {**PROPERTIES, "epoch": str(epoch)})


def write_card(path: Path, settings: Settings, threads: int, facts: list[ModelFacts]) -> None:
    """Writes the Markdown card: what, data, recipe, seed, versions, measures, licence."""
    final = facts[0]
    versions = ", ".join(
        f"{package} {version(package)}" for package in ("torch", "onnx", "onnxruntime", "numpy")
    )
    table = "\n".join(
        f"| {field.name} | {getattr(settings, field.name)} |" for field in fields(Settings)
    )
    defaults = Settings()
    changed = "".join(
        f" --{field.name.replace('_', '-')} {getattr(settings, field.name)}"
        for field in fields(Settings)
        if getattr(settings, field.name) != getattr(defaults, field.name)
    )
    path.write_text(
        CARD.format(
            files=file_table(facts),
            nodes=node_table(final),
            final=final,
            classes=", ".join(CLASS_NAMES),
            settings=table,
            changed=changed,
            threads=threads,
            python=platform.python_version(),
            machine=platform.machine(),
            versions=versions,
        ),
        encoding="utf-8",
    )


CARD = """# fashion_resnet8

A ResNet-8 for FashionMNIST, small enough to ship and real enough to analyse. The stem is a
3 x 3 convolution; three basic blocks of 16, 32 and 64 channels follow, then a global average
pool and one dense layer. Batch normalisation stays in the file as nodes of its own.

{files}

The test accuracy is that of the file itself in ONNX Runtime (CPU, float32) on all 10,000 test
images. `fashion_resnet8_epoch1.onnx` is the same run after its first epoch, while the learning
rate was still rising; it is there to be compared with the final state.

## Interface

* Input `image`: float32 `[N, 1, 28, 28]`, the grey value over 255, so in [0, 1]; N is free.
  No other preprocessing: the first batch normalisation does the rest.
* Output `logits`: float32 `[N, 10]`, in the order
  {classes}.
* Opset {final.opset}, IR version {final.ir_version}, {final.n_parameters:,} trained parameters
  and {final.n_statistics:,} running means and variances.

{nodes}

## Data

FashionMNIST (Zalando SE, 2017, MIT licence), 60,000 training and 10,000 test images, read from
Debian's package `dataset-fashion-mnist`. All training images were used. The test images
took no part in training and chose neither epoch nor settings.

## Recipe

    python models/recipes/train_fashion_resnet8.py{changed}

SGD with Nesterov momentum 0.9 and OneCycle; random shift and mirror image. The last epoch is
shipped.

| setting | value |
| --- | --- |
{settings}

Made with {versions}, Python {python}, on the CPU
({machine}) with {threads} threads. The same versions, processor and thread count give the same
weights; elsewhere the order of floating-point sums differs, and with it the last digits, the
hashes and, slightly, the accuracy.

## Licence

The weights are Apache-2.0, as reluflow is. The data are under the MIT licence.
"""


def main() -> None:
    """Trains, exports both states, measures them in ONNX Runtime and writes the card."""
    options = parse_arguments()
    settings = Settings(**{f.name: getattr(options, f.name) for f in fields(Settings)})
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    trainer = train(options, settings)
    options.out.mkdir(parents=True, exist_ok=True)
    paths = {settings.epochs: options.out / f"{NAME}.onnx", 1: options.out / f"{NAME}_epoch1.onnx"}
    stored, labels = load_fashion_mnist(options.data_dir, "test")
    facts = []
    for epoch, path in paths.items():
        export_epoch(trainer, epoch, path)
        facts.append(model_facts(path, to_unit_scale(stored), labels))
        print(f"{path}: {facts[-1].accuracy:.4f} of 10,000 test images right, in ONNX Runtime")
    write_card(options.out / f"{NAME}.md", settings, options.threads, facts)


if __name__ == "__main__":
    main()
