"""Trains the classifier of wide scenes, exports it to ONNX and writes its card.

Needs torch, onnx and onnxruntime, and FashionMNIST as four local idx.gz files (Debian's package
dataset-fashion-mnist). Nothing is downloaded.

    python models/recipes/train_scenes.py
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

import torch  # a recipe runs outside the toolkit
from _export import export_onnx
from _fashion_mnist import CLASS_NAMES, DEBIAN_FOLDER, load_fashion_mnist
from _scene_card import card_text, scene_facts
from _scene_net import SceneNet
from _scene_training import SceneSettings, train
from make_scenes import MODELS, shipped_objects

NAME = "fashion_scenes"
COMMAND = "python models/recipes/train_scenes.py"


def parse_arguments() -> argparse.Namespace:
    """Reads the command line; every field of `SceneSettings` is an option."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, default=DEBIAN_FOLDER, help="idx.gz files")
    parser.add_argument("--out", type=Path, default=MODELS, help="folder of model and card")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--weights", type=Path, help="take these weights (.pt), train nothing")
    for field in fields(SceneSettings):
        option = "--" + field.name.replace("_", "-")
        parser.add_argument(option, type=type(field.default), default=field.default)
    return parser.parse_args()


def make(options: argparse.Namespace, settings: SceneSettings) -> SceneNet:
    """Trains the network, and keeps its weights beside the checkpoints of other networks."""
    images, labels = load_fashion_mnist(options.data_dir, "train")
    model = train(settings, images, labels)
    kept = MODELS.parent / "build" / f"{NAME}.pt"
    kept.parent.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), kept)
    return model


def main() -> None:
    """Trains, exports, measures in ONNX Runtime and writes the card."""
    options = parse_arguments()
    settings = SceneSettings(**{f.name: getattr(options, f.name) for f in fields(SceneSettings)})
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    if options.weights is None:
        model = make(options, settings)
    else:
        model = SceneNet()
        model.load_state_dict(torch.load(options.weights, weights_only=True))
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{NAME}.onnx"
    properties = {
        "title": "Classifier of FashionMNIST objects in wide scenes",
        "license": "Apache-2.0",
        "recipe": "models/recipes/train_scenes.py",
        "classes": ",".join((*CLASS_NAMES, "ground")),
    }
    export_onnx(model, path, properties, NAME, free_size=True)
    facts = scene_facts(path, *shipped_objects())
    text = card_text(facts, settings, options.threads, COMMAND + _changes(settings))
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    print(
        f"{path}: {facts.full.objects:.4f} of the objects right, {facts.half.objects:.4f} at half"
    )


def _changes(settings: SceneSettings) -> str:
    return "".join(
        f" --{field.name.replace('_', '-')} {getattr(settings, field.name)}"
        for field in fields(SceneSettings)
        if getattr(settings, field.name) != field.default
    )


if __name__ == "__main__":
    main()
