"""Writes the first 2,000 test images of FashionMNIST as one .npz file, with its card.

    python models/recipes/make_test_images.py

Needs numpy and FashionMNIST as local idx.gz files; nothing is downloaded. The same numpy and
zlib write the same bytes: the entries of the archive carry no time of day.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
from _fashion_mnist import CLASS_NAMES, DEBIAN_FOLDER, load_fashion_mnist, to_unit_scale

MODELS = Path(__file__).resolve().parents[1]
NAME = "fashion_mnist_test_2000"
N_IMAGES = 2000

CARD = """# fashion_mnist_test_2000

The first 2,000 of the 10,000 test images of FashionMNIST, in stored order, as the shipped
models take them.

| file | bytes | sha256 |
| --- | --- | --- |
| `{name}.npz` | {n_bytes:,} | `{sha256}` |

| array | dtype | shape | content |
| --- | --- | --- | --- |
| `image` | float32 | (2000, 1, 28, 28) | grey value over 255, in [0, 1] |
| `label` | int64 | (2000,) | class, 0 to 9 |

Classes: {classes}.

Images per class: {counts}.

## Recipe

    python models/recipes/make_test_images.py

## Licence

The images come from FashionMNIST (https://github.com/zalandoresearch/fashion-mnist), under the
MIT licence:

> Copyright (c) 2017 Zalando SE, https://tech.zalando.com
>
> Permission is hereby granted, free of charge, to any person obtaining a copy of this software
> and associated documentation files (the "Software"), to deal in the Software without
> restriction, including without limitation the rights to use, copy, modify, merge, publish,
> distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
> Software is furnished to do so, subject to the following conditions:
>
> The above copyright notice and this permission notice shall be included in all copies or
> substantial portions of the Software.
>
> THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING
> BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
> NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
> DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
> OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def write_images(data_dir: Path, out: Path) -> None:
    """Writes the .npz file and its card.

    Args:
        data_dir: folder of the idx.gz files.
        out: folder that gets `fashion_mnist_test_2000.npz` and `.md`.
    """
    images, labels = load_fashion_mnist(data_dir, "test")
    images, labels = images[:N_IMAGES], labels[:N_IMAGES]
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{NAME}.npz"
    np.savez_compressed(path, image=to_unit_scale(images), label=labels)
    content = path.read_bytes()
    card = CARD.format(
        name=NAME,
        n_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        classes=", ".join(f"{i} {name}" for i, name in enumerate(CLASS_NAMES)),
        counts=", ".join(str(n) for n in np.bincount(labels, minlength=len(CLASS_NAMES))),
    )
    path.with_suffix(".md").write_text(card, encoding="utf-8")
    print(f"{path}: {len(labels)} images, {len(content):,} bytes")


def main() -> None:
    """Reads the command line and writes the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, default=DEBIAN_FOLDER, help="idx.gz files")
    parser.add_argument("--out", type=Path, default=MODELS, help="folder to write to")
    options = parser.parse_args()
    write_images(options.data_dir, options.out)


if __name__ == "__main__":
    main()
