"""Trains a network that reluflow ships, exports it to ONNX and writes its card.

Needs reluflow with its extra torch, and FashionMNIST as four local idx.gz files (Debian's package
dataset-fashion-mnist). Nothing is downloaded. A run that was interrupted continues with
`--resume` from its last finished epoch and ends with the same weights.

    python models/recipes/train_fashion.py --network convnet8
"""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path

import torch  # a recipe runs outside the toolkit
from _card import card_text, model_facts
from _export import export_onnx
from _fashion_mnist import CLASS_NAMES, DEBIAN_FOLDER, load_fashion_mnist, to_unit_scale
from _networks import NETWORKS, Network
from _training import Settings, Trainer, load_checkpoint

MODELS = Path(__file__).resolve().parents[1]


def parse_arguments() -> argparse.Namespace:
    """Reads the command line; every field of `Settings` is an option."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument("--data-dir", type=Path, default=DEBIAN_FOLDER, help="idx.gz files")
    parser.add_argument("--out", type=Path, default=MODELS, help="folder of models and card")
    parser.add_argument(
        "--work-dir",
        type=Path,
        default=MODELS.parent / "build",
        help="checkpoints, in a folder of the network's name",
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    for field in fields(Settings):
        option = "--" + field.name.replace("_", "-")
        parser.add_argument(option, type=type(field.default))
    return parser.parse_args()


def choose_settings(options: argparse.Namespace, usual: Settings) -> Settings:
    """Returns the network's usual settings with what the command line says instead."""
    given = {f.name: getattr(options, f.name) for f in fields(Settings)}
    return replace(usual, **{name: value for name, value in given.items() if value is not None})


def train(options: argparse.Namespace, network: Network, settings: Settings) -> Trainer:
    """Runs all epochs that are still to do, with a checkpoint after each."""
    stored, labels = load_fashion_mnist(options.data_dir, "train")
    n_used = settings.limit or len(stored)
    images = torch.from_numpy(to_unit_scale(stored[:n_used]))
    work_dir = options.work_dir / network.name
    work_dir.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(settings, network.build, images, torch.from_numpy(labels[:n_used]), work_dir)
    if options.resume:
        trainer.resume()
    else:
        for old in work_dir.glob("epoch*.pt"):
            old.unlink()
    while trainer.finished_epochs < settings.epochs:
        trainer.train_epoch()
        trainer.save()
    return trainer


def export_epoch(trainer: Trainer, network: Network, epoch: int, path: Path) -> None:
    """Writes the weights after `epoch` finished epochs as an ONNX file."""
    model = network.build()
    model.load_state_dict(load_checkpoint(trainer.checkpoint_path(epoch))["model"])
    properties = {
        "title": network.title,
        "license": "Apache-2.0",
        "recipe": network.recipe,
        "classes": ",".join(CLASS_NAMES),
        "epoch": str(epoch),
    }
    export_onnx(model, path, properties, network.name)


def main() -> None:
    """Trains, exports, measures in ONNX Runtime and writes the card."""
    options = parse_arguments()
    network = NETWORKS[options.network]
    usual = network.settings
    settings = choose_settings(options, usual)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    trainer = train(options, network, settings)
    options.out.mkdir(parents=True, exist_ok=True)
    paths = {settings.epochs: options.out / f"{network.name}.onnx"}
    if network.ships_first_epoch:
        paths[1] = options.out / f"{network.name}_epoch1.onnx"
    stored, labels = load_fashion_mnist(options.data_dir, "test")
    facts = []
    for epoch, path in paths.items():
        export_epoch(trainer, network, epoch, path)
        facts.append(model_facts(path, to_unit_scale(stored), labels))
        print(f"{path}: {facts[-1].accuracy:.4f} of 10,000 test images right, in ONNX Runtime")
    command = f"python models/recipes/train_fashion.py --network {options.network}"
    text = card_text(network, command, settings, usual, options.threads, facts)
    (options.out / f"{network.name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
