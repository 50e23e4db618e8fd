"""Image folders and byte images: every step is done as documented, and documented as done."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from reluflow.data import Preprocessing, open_data
from reluflow.errors import DataError, OptionError

RNG = np.random.default_rng(7)


def save(path, pixels, **options):
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def colour(height=6, width=8):
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


def read(source):
    return np.concatenate([batch["x"].copy() for batch in source.batches(2)])


def test_a_folder_is_read_in_natural_order_below_all_folders(tmp_path, spec):
    for value, name in enumerate(["a/img2.png", "a/img10.png", "b/1.bmp", "b.png", ".hid/x.png"]):
        save(tmp_path / name, np.full((2, 2), value, np.uint8))
    (tmp_path / "labels.txt").write_text("x")
    source = open_data(tmp_path, [spec("N", 1, 2, 2, dtype="uint8")])
    assert read(source)[:, 0, 0, 0].tolist() == [0, 1, 3, 2]
    assert source.take([3, 0])["x"][:, 0, 0, 0].tolist() == [2, 0]
    assert source.description.preprocessing["ignored"] == ["1 files that are no images"]
    assert open_data(tmp_path, [spec("N", 1, 2, 2)], limit=3).n_samples == 3


def test_scale_mean_std_order_and_layout(tmp_path, spec):
    pixels = colour()
    save(tmp_path / "a.png", pixels)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    wanted = (pixels[..., ::-1] / 255 - mean) / std
    given = Preprocessing(mean=mean, std=std, channel_order="bgr")
    for shape, axes in ((("N", 3, "H", "W"), (2, 0, 1)), (("N", "H", "W", 3), (0, 1, 2))):
        source = open_data(tmp_path, [spec(*shape)], preprocessing=given)
        np.testing.assert_allclose(read(source)[0], wanted.transpose(axes), rtol=2e-6, atol=1e-6)
    record = source.description.preprocessing
    assert record["mean"] == [0.1, 0.2, 0.3] and record["std"] == [0.5, 0.6, 0.7]
    assert record["channel_order"] == "bgr" and record["layout"] == "nhwc"
    assert record["scale"] == 1 / 255 and "size" not in record


def test_without_size_images_stretch_to_the_models(tmp_path, spec):
    pixels = colour(20, 30)
    save(tmp_path / "a.png", pixels)
    source = open_data(tmp_path / "a.png", [spec("N", 3, 10, 12, dtype="uint8")])
    wanted = Image.fromarray(pixels).resize((12, 10), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(read(source)[0].transpose(1, 2, 0), np.asarray(wanted))
    record = source.description.preprocessing
    assert record["size"] == [10, 12] and record["resize"] == "stretch"
    assert record["interpolation"] == "bilinear" and "scale" not in record


@pytest.mark.parametrize("height_width", [(40, 60), (60, 40), (30, 30)])
def test_cover_keeps_the_aspect_ratio_and_crops_the_centre(tmp_path, spec, height_width):
    pixels = colour(*height_width)
    save(tmp_path / "a.png", pixels)
    given = Preprocessing(size=(20, 20), resize="cover", interpolation="bicubic")
    source = open_data(tmp_path, [spec("N", 3, 16, 16, dtype="uint8")], preprocessing=given)
    height, width = [20 * n // min(height_width) for n in height_width]
    whole = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    top, left = (height - 16) // 2, (width - 16) // 2
    wanted = np.asarray(whole)[top : top + 16, left : left + 16]
    np.testing.assert_array_equal(read(source)[0].transpose(1, 2, 0), wanted)
    assert source.description.preprocessing["crop"] == [16, 16]


def test_exif_orientation_is_applied(tmp_path, spec):
    pixels = np.zeros((4, 6), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a.png", pixels, exif=exif)
    got = read(open_data(tmp_path, [spec("N", "H", "W", dtype="uint8")]))[0]
    assert got.shape == (6, 4) and np.argwhere(got == 255).tolist() == [[0, 3]]


def test_every_mode_is_converted_as_stated(tmp_path, spec):
    value = np.full((2, 2), 200, np.uint8)
    rgba = np.dstack([value, value // 2, value // 4, np.full_like(value, 9)])
    palette = Image.fromarray(rgba[..., :3]).convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(tmp_path / "p.png")
    Image.fromarray(value > 0).save(tmp_path / "bit.png")
    save(tmp_path / "rgba.png", rgba)
    save(tmp_path / "gray.png", value)
    save(tmp_path / "deep.png", np.full((2, 2), 51400, np.uint16))
    save(tmp_path / "la.png", np.dstack([value, value]))
    got = read(open_data(tmp_path, [spec("N", "H", "W", 3, dtype="uint8")]))[:, 0, 0].tolist()
    grey, colours = [200] * 3, [200, 100, 50]
    assert got == [[255] * 3, grey, grey, grey, colours, colours]
    got = read(open_data(tmp_path / "rgba.png", [spec("N", "H", "W", dtype="uint8")]))
    assert got[0, 0, 0] == round(200 * 0.299 + 100 * 0.587 + 50 * 0.114)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif", "gif", "ppm", "bmp", "JPEG"])
def test_usual_formats_are_read(tmp_path, spec, suffix):
    save(tmp_path / f"a.{suffix}", np.full((8, 8, 3), 90, np.uint8))
    got = read(open_data(tmp_path, [spec("N", 3, 8, 8, dtype="uint8")]))
    assert np.abs(got.astype(int) - 90).max() <= 2


@pytest.mark.parametrize(
    ("shape", "given", "match"),
    [
        (("N", "C", "H", "W"), {}, "does not tell where the channels are; give the layout"),
        ((1, 3, "H", 3), {}, "does not tell where the channels are"),
        (("N", 64, 8, 8), {}, "does not tell where the channels are"),
        (None, {}, "of unknown rank, which is no image"),
        (("N", 3, 2, 2, 2), {}, "which is no image; images feed inputs such as"),
        (("N", "C", "H", "W"), {"layout": "nchw"}, "whether images are gray or in colour"),
        (("N", "D"), {}, "whether images are gray or in colour"),
        (("N", 3, 8, 8), {"size": (9, 9)}, r"makes samples of \[3, 9, 9\], but input 'x' wants"),
        (("N", 3, 6, 8), {"channel_order": "gray"}, r"makes samples of \[1, 6, 8\]"),
        (("N", 3, "H", "W"), {"mean": (1, 2)}, "mean has 2 numbers, .* with 3 channel"),
        (("N", 3, "H", "W"), {"crop": (7, 7)}, "6 x 8 pixels are fewer than the crop's 7 x 7"),
        (("N", 100), {"channel_order": "rgb"}, r"are float32 \[1, 144\], but the model wants"),
    ],
)
def test_a_choice_that_the_model_leaves_open_is_asked_for(tmp_path, shape, given, match):
    from reluflow.data import InputSpec

    save(tmp_path / "a.png", colour())
    inputs = [InputSpec("x", np.dtype("f4"), shape)]
    with pytest.raises(DataError, match=match):
        open_data(tmp_path, inputs, preprocessing=Preprocessing(**given))


def test_whole_number_models_take_no_mean(tmp_path, spec):
    save(tmp_path / "a.png", colour())
    with pytest.raises(DataError, match=r"mean and std were given, .*uint8 \[N, 3, H, W\], whole"):
        inputs = [spec("N", 3, "H", "W", dtype="uint8")]
        open_data(tmp_path, inputs, preprocessing=Preprocessing(mean=[0.5]))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"size": 224}, r"size is 224; give \(height, width\) in pixels"),
        ({"size": (0, 4)}, "size is .0, 4."),
        ({"crop": (4, 4, 4)}, "crop is"),
        ({"size": (2.5, 4)}, "size is"),
        ({"mean": 0.5}, "mean is 0.5; give finite numbers, one a channel"),
        ({"mean": [float("nan")]}, "mean is .nan."),
        ({"std": (1, 0)}, "std is .1, 0.; give finite numbers above zero"),
        ({"scale": 0}, "scale is"),
        ({"layout": "hwc"}, "layout is 'hwc'; give one of 'nchw', 'nhwc', None"),
        ({"channel_order": "RGB"}, "channel_order is 'RGB'; give one of 'rgb', 'bgr', 'gray'"),
        ({"resize": "pad"}, "resize is 'pad'"),
        ({"interpolation": "cubic"}, "interpolation is 'cubic'; give one of 'nearest', 'bil"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, match):
    with pytest.raises(OptionError, match=match):
        Preprocessing(**options)


def damaged(path, pixels, cut):
    raw = save(path, pixels).read_bytes()
    path.write_bytes(raw[: int(len(raw) * cut)])


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp", "gif"])
@pytest.mark.parametrize("cut", [0, 0.02, 0.6])
def test_a_truncated_image_is_named(tmp_path, spec, suffix, cut):
    save(tmp_path / "a.png", colour(40, 40))
    damaged(tmp_path / f"b.{suffix}", colour(40, 40), cut)
    source = open_data(tmp_path, [spec("N", 3, 40, 40)])
    with pytest.raises(DataError, match=rf"image '.*b.{suffix}' cannot be decoded \(.+\); remove"):
        read(source)


def test_images_that_are_no_files_are_named(tmp_path, spec):
    save(tmp_path / "a.png", colour())
    (tmp_path / "b.png").symlink_to("gone.png")
    with pytest.raises(DataError, match=r"b.png' cannot be read .No such file.*; remove it or"):
        open_data(tmp_path, [spec("N", 3, 6, 8)])
    (tmp_path / "b.png").unlink()
    os.mkfifo(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b.png' is no regular file; remove it"):
        open_data(tmp_path, [spec("N", 3, 6, 8)])


def test_images_without_a_common_size_are_named(tmp_path, spec):
    save(tmp_path / "a.png", colour(4, 4))
    save(tmp_path / "b.png", colour(4, 5))
    source = open_data(tmp_path, [spec("N", 3, "H", "W")])
    with pytest.raises(DataError, match=r"b.png' has 4 x 5 pixels, but .*a.png' has 4 x 4; give"):
        read(source)


def test_pixels_of_unknown_range_and_bombs_are_refused(tmp_path, spec, monkeypatch):
    save(tmp_path / "f.tif", np.ones((2, 2), np.float32))
    with pytest.raises(DataError, match=r"floating point pixels, whose range is unknown"):
        open_data(tmp_path, [spec("N", 3, 2, 2)])
    save(tmp_path / "f.tif", np.full((2, 2), -5, np.int32))
    with pytest.raises(DataError, match=r"32-bit pixels, whose range is unknown"):
        open_data(tmp_path, [spec("N", 3, 2, 2)])
    save(tmp_path / "f.tif", colour(30, 30))
    for most in (700, 100):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
        with pytest.raises(DataError, match=r"decompression bomb"):
            open_data(tmp_path, [spec("N", 3, 2, 2)])


def test_a_folder_without_images_and_one_for_two_inputs(tmp_path, spec):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"holds no image \(1 other files\); images end in .bmp"):
        open_data(tmp_path, [spec("N", 3, 2, 2)])
    save(tmp_path / "a.png", colour())
    with pytest.raises(DataError, match=r"can feed one input, but the model wants 2 \('x', 'y'\)"):
        open_data(tmp_path, [spec("N", 3, 2, 2), spec("N", 3, 2, 2, name="y")])


def test_the_fingerprint_follows_files_and_preprocessing(tmp_path, spec):
    save(tmp_path / "a.png", colour())
    inputs = [spec("N", 3, 6, 8)]
    first = open_data(tmp_path, inputs).description.fingerprint
    assert open_data(tmp_path, inputs).description.fingerprint == first
    given = Preprocessing(mean=(0.5,))
    assert open_data(tmp_path, inputs, preprocessing=given).description.fingerprint != first
    save(tmp_path / "b.png", colour())
    assert open_data(tmp_path, inputs).description.fingerprint != first


def test_idx_bytes_get_a_channel_axis_and_the_scale(tmp_path, spec, write_idx):
    pixels = RNG.integers(0, 256, (5, 4, 6), np.uint8)
    path = write_idx(tmp_path / "images", pixels)
    source = open_data(path, [spec("N", 1, 4, 6)])
    np.testing.assert_array_equal(read(source), pixels[:, None] * np.float32(1 / 255))
    assert source.description.preprocessing == {
        "input": "x", "channel_order": "gray", "scale": 1 / 255, "mean": None, "std": None,
        "layout": "nchw",
    }  # fmt: skip
    np.testing.assert_array_equal(
        read(open_data(path, [spec("N", 24)])), pixels.reshape(5, 24) * np.float32(1 / 255)
    )
    assert read(open_data(path, [spec("N", 4, 6, 1, dtype="float16")])).dtype == np.float16
    assert read(open_data(path, [spec("N", 4, 6, 1, dtype="float64")])).max() <= 1
    raw = open_data(path, [spec("N", 1, 4, 6, dtype="uint8")])
    np.testing.assert_array_equal(read(raw), pixels[:, None])
    np.testing.assert_array_equal(
        read(open_data(path, [spec("N", 3, 4, 6)]))[:, 2], read(source)[:, 0]
    )


def test_idx_images_are_never_resized_unasked(tmp_path, spec, write_idx):
    path = write_idx(tmp_path / "images", np.zeros((5, 4, 3), np.uint8))
    with pytest.raises(DataError, match=r"images of 4 x 3 pixels, but .*size=\(8, 8\) to resize"):
        open_data(path, [spec("N", 1, 8, 8)])
    given = Preprocessing(size=(8, 8))
    assert read(open_data(path, [spec("N", 1, 8, 8)], preprocessing=given)).shape == (5, 1, 8, 8)
    with pytest.raises(DataError, match=r"have 12 numbers a sample after preprocessing, .* wants"):
        open_data(path, [spec("N", 13)])


@pytest.mark.parametrize("move", [False, True])
def test_byte_arrays_are_preprocessed_on_request_only(spec, move):
    pixels = RNG.integers(0, 256, (3, 6, 8, 3), np.uint8)
    array = pixels.transpose(0, 3, 1, 2) if move else pixels
    inputs = [spec("N", 3, 6, 8)]
    with pytest.raises(DataError, match=r"scale the bytes by giving a preprocessing"):
        open_data(array, inputs)
    source = open_data(array, inputs, preprocessing=Preprocessing())
    wanted = pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    np.testing.assert_allclose(read(source), wanted)
    given = Preprocessing(crop=(4, 4), channel_order="gray", layout="nhwc")
    source = open_data(array, [spec("N", "H", "W", 1)], preprocessing=given)
    assert read(source).shape == (3, 4, 4, 1)


def test_two_byte_inputs_are_recorded_by_name(spec):
    inputs = [spec("N", 1, 4, 4, name=name) for name in "xy"]
    pixels = np.zeros((2, 4, 4), np.uint8)
    source = open_data({"x": pixels, "y": pixels}, inputs, preprocessing=Preprocessing(std=[2.0]))
    assert [step["std"] for step in source.description.preprocessing.values()] == [[2.0], [2.0]]


def test_bytes_that_are_no_image_are_refused(spec):
    with pytest.raises(DataError, match=r"bytes \[5, 4, 4\] a sample, which does not tell where"):
        array = np.zeros((2, 5, 4, 4), np.uint8)
        open_data(array, [spec("N", 5, 4, 4)], preprocessing=Preprocessing())
    with pytest.raises(DataError, match=r"cannot be cropped: its 4 x 4 pixels are fewer"):
        array = np.zeros((2, 4, 4), np.uint8)
        open_data(array, [spec("N", 1, 5, 5)], preprocessing=Preprocessing(crop=(5, 5)))
    with pytest.raises(
        OptionError, match=r"no data are uint8 images \('x: float32 \[4\]' a sample"
    ):
        open_data(np.zeros((2, 4), "f4"), [spec("N", 4)], preprocessing=Preprocessing())
    with pytest.raises(OptionError, match=r"preprocessing was given with an iterator"):
        open_data([], [spec("N", 4)], preprocessing=Preprocessing())
