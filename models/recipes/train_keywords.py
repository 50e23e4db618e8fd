"""Trains a DS-CNN on spoken keywords, exports it to ONNX and writes its card and its test clips.

Needs reluflow with its extra torch, onnx, onnxruntime, SciPy and Debian's package espeak-ng, which
makes all words. Nothing is downloaded. The clips are kept in the work folder and used again.

    python models/recipes/train_keywords.py
"""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch  # a recipe runs outside the toolkit
from _export import export_onnx
from keywords.card import card_text, keyword_facts
from keywords.clips import cached_sets
from keywords.speech import CLASS_NAMES, COEFFICIENTS, FRAMES
from keywords.training import KeywordSettings, train

from reluflow_torch.networks import KeywordNet

MODELS = Path(__file__).resolve().parents[1]
NAME = "keywords_dscnn"
N_CALIBRATION = 128
"""Training clips that are shipped, to calibrate on."""


def parse_arguments() -> argparse.Namespace:
    """Reads the command line; every field of `KeywordSettings` is an option."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=MODELS, help="folder of all files")
    parser.add_argument(
        "--work-dir", type=Path, default=MODELS.parent / "build" / "keywords", help="clips"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    for field in fields(KeywordSettings):
        option = "--" + field.name.replace("_", "-")
        parser.add_argument(option, type=type(field.default))
    return parser.parse_args()


def main() -> None:
    """Makes the clips, trains, exports, measures in ONNX Runtime and writes the card."""
    options = parse_arguments()
    given = {f.name: getattr(options, f.name) for f in fields(KeywordSettings)}
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = replace(KeywordSettings(), **chosen)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    clips = options.work_dir / "set.npz"
    heard, unseen = cached_sets(clips, settings.times, settings.copies, settings.seed)
    model = train(settings, KeywordNet, heard)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{NAME}.onnx"
    properties = {
        "title": "DS-CNN for ten spoken keywords",
        "license": "Apache-2.0",
        "recipe": "models/recipes/train_keywords.py",
        "classes": ",".join(CLASS_NAMES),
    }
    export_onnx(model, path, properties, NAME, example=torch.zeros(2, 1, FRAMES, COEFFICIENTS))
    files = {"keywords_test": unseen, "keywords_calibration": heard.some(N_CALIBRATION)}
    for name, clips_of in files.items():
        np.savez_compressed(
            options.out / f"{name}.npz", cepstra=clips_of.inputs, label=clips_of.labels
        )
    facts = keyword_facts(path, unseen, [options.out / f"{name}.npz" for name in files])
    print(f"{path}: {facts.accuracy:.4f} of {len(unseen.labels)} test clips, in ONNX Runtime")
    given_words = [f" --{n.replace('_', '-')} {v}" for n, v in chosen.items()]
    command = "python models/recipes/train_keywords.py" + "".join(given_words)
    text = card_text(facts, settings, options.threads, command, len(heard.labels))
    (options.out / f"{NAME}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
