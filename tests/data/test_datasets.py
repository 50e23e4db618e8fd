"""Datasets and loaders of torch, TensorFlow, Keras and Hugging Face, on the real packages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import small_models

import reluflow
from reluflow.data import InputSpec, Preprocessing, open_data
from reluflow.errors import DataError

SPEC = InputSpec("x", np.dtype("f4"), ("N", 4))
PAIR = (SPEC, InputSpec("m", np.dtype("i8"), ("N", 2)))
IMAGE = InputSpec("x", np.dtype("f4"), ("N", 3, 6, 5))
X = small_models.integers((23, 4)).astype(np.float32)
M = np.arange(46).reshape(23, 2)
LABELS = np.arange(23) % 3
RGB = (np.arange(7 * 6 * 5 * 3) % 251).astype(np.uint8).reshape(7, 6, 5, 3)


def read(source: Any, inputs: Any = (SPEC,), batch_size: int = 5) -> list[np.ndarray]:
    parts = [
        {name: array.copy() for name, array in batch.items()}
        for batch in source.batches(batch_size)
    ]
    return [np.concatenate([part[spec.name] for part in parts]) for spec in inputs]


def same(source: Any, *, again: bool = True) -> None:
    for _ in range(2 if again else 1):
        np.testing.assert_array_equal(read(source)[0], X)
    assert source.rereadable is again
    if again:
        np.testing.assert_array_equal(source.take([20, 3])["x"], X[[20, 3]])


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield pytest.importorskip("datasets")


def tensors(torch: Any) -> Any:
    return torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(LABELS))


class TestTorch:
    def test_a_dataset_is_read_by_index_and_its_labels_are_left_alone(self, torch: Any) -> None:
        source = open_data(tensors(torch), [SPEC])
        same(source)
        assert source.n_samples == 23 and source.description.source == "torch TensorDataset"
        assert source.notes == ("Left alone in the data: 'part 2 of 2'.",)
        assert source.description.preprocessing == {"ignored": ["part 2 of 2"]}
        few = open_data(tensors(torch), [SPEC], limit=7)
        np.testing.assert_array_equal(read(few)[0], X[:7])

    def test_a_subset_and_a_class_of_ones_own(self, torch: Any) -> None:
        class Own(torch.utils.data.Dataset):
            reads: list[int]

            def __len__(self) -> int:
                return 23

            def __getitem__(self, at: int) -> dict[str, Any]:
                self.reads.append(at)
                return {"m": M[at], "label": 3, "x": X[at]}

        own = Own()
        own.reads = []
        source = open_data(own, PAIR)
        x, m = read(source, PAIR)
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(m, M)
        assert max(own.reads.count(at) for at in range(1, 23)) == 1  # once for both inputs
        assert source.notes == ("Left alone in the data: 'label'.",)
        part = torch.utils.data.Subset(tensors(torch), range(4, 9))
        np.testing.assert_array_equal(read(open_data(part, [SPEC]))[0], X[4:9])

    def test_an_iterable_dataset_gives_samples(self, torch: Any) -> None:
        class Stream(torch.utils.data.IterableDataset):
            def __iter__(self) -> Iterator[Any]:
                return iter(zip(X, LABELS.tolist(), strict=True))

        source = open_data(Stream(), [SPEC])
        same(source)
        assert source.notes == ("Left alone in the data: 'part 2 of 2'.",)

    def test_a_loader_gives_batches(self, torch: Any) -> None:
        loader = torch.utils.data.DataLoader(tensors(torch), batch_size=4)
        source = open_data(loader, [SPEC])
        same(source)
        assert source.notes == ("Left alone in the data: 'part 2 of 2'.",)

    def test_a_loader_of_a_dataset_that_is_its_own_target(self, torch: Any) -> None:
        x = torch.from_numpy(X)
        twice = torch.utils.data.TensorDataset(x, x)
        same(open_data(torch.utils.data.DataLoader(twice, batch_size=4), [SPEC]))
        same(open_data(twice, [SPEC]))

    def test_a_loader_that_shuffles_is_read_once(self, torch: Any) -> None:
        loader = torch.utils.data.DataLoader(tensors(torch), batch_size=4, shuffle=True)
        source = open_data(loader, [SPEC])
        found = read(source)[0]
        assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, X.tolist()))
        with pytest.raises(DataError, match=r"DataLoader shuffles .* anew.* shuffle=False"):
            source.check_rereadable()
        with pytest.raises(DataError, match="shuffle=False"):
            source.take([0])
        with pytest.raises(DataError, match="read once only, as this DataLoader shuffles"):
            reluflow.slim(small_models.dense(), loader)

    def test_inputs_and_labels_in_pairs(self, torch: Any) -> None:
        items = [((X[:4], M[:4]), LABELS[:4]), ({"m": M[4:], "x": X[4:]}, LABELS[4:])]
        x, m = read(open_data(items, PAIR), PAIR)
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(m, M)

    def test_a_dataset_of_batches(self, torch: Any) -> None:
        class Batches(torch.utils.data.Dataset):
            def __len__(self) -> int:
                return 5

            def __getitem__(self, at: int) -> Any:
                return X[5 * at : 5 * at + 5], LABELS[5 * at : 5 * at + 5]

        same(open_data(Batches(), [SPEC]))

    def test_samples_that_differ(self, torch: Any) -> None:
        free = InputSpec("x", np.dtype("f4"), ("N", "T"))
        ragged = [torch.ones(n) for n in (3, 3, 2)]

        class Ragged(torch.utils.data.Dataset):
            def __len__(self) -> int:
                return 3

            def __getitem__(self, at: int) -> Any:
                return ragged[at]

        with pytest.raises(DataError, match=r"samples 0 to 2 .* differ in shape for input 'x'"):
            read(open_data(Ragged(), [free]))
        with pytest.raises(DataError, match=r"samples 2 to 2 .* but the first is float32 \[3\]"):
            open_data(Ragged(), [free]).take([2])
        with pytest.raises(DataError, match="the dataset is empty"):
            open_data(torch.utils.data.Subset(tensors(torch), []), [SPEC])

    def test_pictures_are_preprocessed(self, torch: Any) -> None:
        class Pictures(torch.utils.data.Dataset):
            def __len__(self) -> int:
                return 7

            def __getitem__(self, at: int) -> Any:
                from PIL import Image

                return Image.fromarray(RGB[at]), 1

        source = open_data(Pictures(), [IMAGE], preprocessing=Preprocessing())
        as_arrays = open_data(RGB, [IMAGE], preprocessing=Preprocessing())
        np.testing.assert_array_equal(read(source)[0], read(as_arrays)[0])

    def test_an_analysis_is_the_same_and_says_what_was_left(self, torch: Any) -> None:
        loader = torch.utils.data.DataLoader(tensors(torch), batch_size=7)
        model = small_models.dense()
        plain = reluflow.analyze(model, X)
        for data in (tensors(torch), loader):
            report = reluflow.analyze(model, data)
            assert report.sites == plain.sites
            assert "Left alone in the data: 'part 2 of 2'." in report.notes
            compared = reluflow.compare(model, small_models.dense(shift=1), data)
            assert "Left alone in the data: 'part 2 of 2'." in compared.notes

    def test_a_resumed_run_knows_the_dataset(self, torch: Any) -> None:
        first = open_data(tensors(torch), [SPEC]).description.fingerprint
        assert open_data(tensors(torch), [SPEC]).description.fingerprint == first
        part = torch.utils.data.Subset(tensors(torch), range(3, 23))
        assert open_data(part, [SPEC]).description.fingerprint != first


class TestHuggingFace:
    def table(self, datasets: Any) -> Any:
        features = datasets.Features(
            {
                "pixel_values": datasets.Sequence(datasets.Value("float32")),
                "label": datasets.ClassLabel(num_classes=3),
            }
        )
        columns = {"pixel_values": X.tolist(), "label": LABELS.tolist()}
        return datasets.Dataset.from_dict(columns, features=features)

    def test_a_table_feeds_the_only_input_by_the_only_column(self, datasets: Any) -> None:
        source = open_data(self.table(datasets), [SPEC])
        same(source)
        assert source.n_samples == 23 and source.description.source == "datasets Dataset"
        assert source.notes == (
            "Input 'x' takes 'pixel_values' of the data.",
            "Left alone in the data: 'label'.",
        )

    def test_columns_are_matched_by_name(self, datasets: Any) -> None:
        table = datasets.Dataset.from_dict({"m": M.tolist(), "text": ["a"] * 23, "x": X.tolist()})
        assert open_data(table, PAIR).description.inputs["x"] == "float32 [4]"  # numpy format
        x, m = read(open_data(table.with_format("torch", columns=["x", "m"]), PAIR), PAIR)
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(m, M)
        with pytest.raises(DataError, match=r"has nothing for input 'x'; found 'm', 'text'"):
            open_data(table.remove_columns("x"), PAIR)

    def test_a_stream_gives_samples(self, datasets: Any) -> None:
        source = open_data(self.table(datasets).to_iterable_dataset(), [SPEC])
        same(source)
        assert "Left alone in the data: 'label'." in source.notes

    def test_splits_are_named(self, datasets: Any) -> None:
        splits = datasets.DatasetDict({"train": self.table(datasets), "test": self.table(datasets)})
        with pytest.raises(DataError, match=r"splits 'train', 'test'; give one.* data\['train'\]"):
            open_data(splits, [SPEC])

    def test_pictures_are_preprocessed(self, datasets: Any) -> None:
        pil = pytest.importorskip("PIL.Image")
        table = datasets.Dataset.from_dict(
            {"image": [pil.fromarray(each) for each in RGB], "label": [0] * 7},
            features=datasets.Features(
                {"image": datasets.Image(), "label": datasets.Value("int64")}
            ),
        )
        source = open_data(table, [IMAGE], preprocessing=Preprocessing())
        as_arrays = open_data(RGB, [IMAGE], preprocessing=Preprocessing())
        np.testing.assert_array_equal(read(source)[0], read(as_arrays)[0])
        with pytest.raises(DataError, match=r"scale the bytes by giving a preprocessing|transpose"):
            open_data(table, [IMAGE])

    def test_a_table_works_in_every_function(self, datasets: Any) -> None:
        table, model = self.table(datasets), small_models.dense()
        assert reluflow.analyze(model, table).sites == reluflow.analyze(model, X).sites
        bits = reluflow.activation_bits(model, table, [2, 9])
        plain = reluflow.activation_bits(model, X, [2, 9])
        assert all(np.array_equal(bits[name], plain[name]) for name in plain)
        assert reluflow.slim(model, table, check=table).on_check is not None
        made = reluflow.convert(model, calibration=table, x_bits=16)
        assert reluflow.evaluate(made.model, table, LABELS).n_inputs == 23


class TestTensorFlow:
    def test_batches_and_samples(self, tf: Any) -> None:
        data = tf.data.Dataset.from_tensor_slices((X, LABELS))
        for each in (data, data.batch(4), data.batch(4).prefetch(1)):
            source = open_data(each, [SPEC])
            same(source)
            assert source.notes == ("Left alone in the data: 'part 2 of 2'.",)

    def test_names(self, tf: Any) -> None:
        data = tf.data.Dataset.from_tensor_slices(({"m": M, "x": X}, LABELS)).batch(6)
        x, m = read(open_data(data, PAIR), PAIR)
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(m, M)

    def test_shuffled(self, tf: Any) -> None:
        data = tf.data.Dataset.from_tensor_slices(X)
        again = data.shuffle(23, seed=3).batch(4).prefetch(1)
        source = open_data(again, [SPEC])
        assert not source.rereadable and len(read(source)[0]) == 23
        with pytest.raises(DataError, match="reshuffle_each_iteration=False"):
            source.check_rereadable()
        fixed = data.shuffle(23, seed=3, reshuffle_each_iteration=False)
        assert open_data(fixed, [SPEC]).rereadable


def test_a_sequence_of_batches_by_number() -> None:
    class Batches:
        """As a PyDataset of Keras, which cannot be iterated."""

        def __len__(self) -> int:
            return 5

        def __getitem__(self, at: int) -> Any:
            return X[5 * at : 5 * at + 5], LABELS[5 * at : 5 * at + 5]

        __iter__ = None

    same(open_data(Batches(), [SPEC]))


def test_labels_behind_the_inputs_of_a_plain_iterable() -> None:
    items = [(X[:9], LABELS[:9]), (X[9:], LABELS[9:])]
    source = open_data(items, [SPEC])
    same(source)
    assert source.notes == ("Left alone in the data: 'part 2 of 2'.",)
    named = open_data([{"images": X[:9], "labels": LABELS[:9]}], [SPEC])
    np.testing.assert_array_equal(read(named)[0], X[:9])
    assert named.notes[0] == "Input 'x' takes 'images' of the data."
    three = open_data([{"a": X[:9], "b": LABELS[:9], "c": LABELS[:9]}], [SPEC])
    np.testing.assert_array_equal(read(three)[0], X[:9])


def test_one_name_alone_is_not_taken_for_another() -> None:
    with pytest.raises(DataError, match="has nothing for input 'x'; found 'y'"):
        read(open_data([{"y": np.ones((2, 3))}], [SPEC]))


def test_a_generator_is_told_where_two_passes_are_needed() -> None:
    with pytest.raises(DataError, match="can be read once only; save them to a file"):
        reluflow.slim(small_models.dense(), iter([X]))
