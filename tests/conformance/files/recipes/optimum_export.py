"""Recipe: torch 2.13.0 (CPU), optimum 2.1.0, optimum-onnx 0.1.0 and transformers 4.57.6.

Random weights from small configurations; nothing is downloaded.

    pip install torch==2.13.0 optimum==2.1.0 optimum-onnx==0.1.0 transformers==4.57.6
    python optimum_export.py
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from common import write
from optimum.exporters.onnx import onnx_export_from_model
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
    ViTConfig,
    ViTForImageClassification,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

FRAMES = {"nb_max_frames": 20}  # twice the positions of the encoder; others need none
SIZES = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12}


def bert(activation: str) -> PreTrainedModel:
    """One layer on tokens `[N, T]`; the pooler has a Tanh."""
    config = BertConfig(
        vocab_size=24,
        num_hidden_layers=1,
        max_position_embeddings=16,
        hidden_act=activation,
        num_labels=3,
        **SIZES,
    )
    return BertForSequenceClassification(config)


def vit() -> PreTrainedModel:
    """One layer on sixteen patches and a class token."""
    config = ViTConfig(
        image_size=16, patch_size=4, num_channels=3, num_hidden_layers=1, num_labels=3, **SIZES
    )
    return ViTForImageClassification(config)


def whisper() -> PreTrainedModel:
    """One layer of encoder, behind two convolutions, and one of decoder."""
    config = WhisperConfig(
        vocab_size=24,
        num_mel_bins=6,
        d_model=8,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=12,
        decoder_ffn_dim=14,
        max_source_positions=10,
        max_target_positions=20,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    return WhisperForConditionalGeneration(config)


MODELS: dict[str, tuple[Callable[[], PreTrainedModel], str]] = {
    "bert": (lambda: bert("gelu"), "text-classification"),
    "bert-relu": (lambda: bert("relu"), "text-classification"),
    "vit": (vit, "image-classification"),
    "whisper": (whisper, "automatic-speech-recognition"),
}


def main() -> None:
    """Export each; Whisper becomes one file for the encoder and one for the decoder."""
    for name, (make, task) in MODELS.items():
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            onnx_export_from_model(
                make().eval(), folder, task=task, opset=18, do_validation=False, **FRAMES
            )
            for path in sorted(Path(folder).glob("*.onnx")):
                part = {"model": ""}.get(path.stem, f"-{path.stem.removesuffix('_model')}")
                write(onnx.load(path), f"optimum-18-{name}{part}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    main()
