"""Settings of image fits: what is refused, what shares a program, what they cost, and that rows keep them."""

from dataclasses import replace

import numpy as np
import pytest
from image_fits import IMAGES, NETWORK, fit

from widththeory import identity
from widththeory.classification import Classification
from widththeory.classify import measure
from widththeory.image_programs import choose_program, schedule
from widththeory.image_programs import identity as program_identity
from widththeory.images.files import DataError
from widththeory.ledger import Ledger, Row
from widththeory.packing import pack


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 71}, "batch_size must be at most the 70 training images of textures"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"images": "textures.Nothing"}, "images must be 'module.Class' inside widththeory.images"),
        ({"images": "../textures.Textures"}, "images must be 'module.Class'"),
        ({"images_args": (("colour", "red"),)}, "images_args do not suit textures.Textures: .*colour"),
        ({"images_args": (("difficulty", "soft"),)}, "difficulty must be easy or hard, got 'soft'"),
        ({"model": "mlp.MLP"}, "model must be 'module.Class' inside widththeory.models"),
        ({"model": "os.path"}, "model must be 'module.Class'"),
        ({"model_args": (("depth", 3),)}, "model_args do not suit mobilenet.MobileNet: .*depth"),
        ({"model_args": (("widths", (0,)), ("strides", (1,)))}, r"widths\[0\] must be an integer of at least 1, got 0"),
        ({"model_args": (("image_size", 32),)}, "model_args must suit the images: image_size is 32"),
        ({"model_args": (("num_classes", 7),)}, "model_args must suit the images: num_classes is 7"),
        ({"learning_rate": 0.0}, "learning_rate must be positive and finite, got 0.0"),
        ({"learning_rate": np.inf}, "learning_rate must be positive and finite, got inf"),
        ({"weight_decay": np.inf}, "weight_decay must be at least 0 and finite, got inf"),
        ({"label_smoothing": -0.1}, r"label_smoothing must be in \[0, 1\), got -0.1"),
        ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ({"model_args": (("in_channels", 1), *NETWORK)}, "model_args must suit the images: in_channels is 1"),
        ({"images": "image_fits:Words", "images_args": ()}, "images must be a data set, but image_fits:Words does not"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0 and finite, got -1.0"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be in \[0, 1\), got 1.0"),
        ({"optimizer": "adadelta"}, "optimizer must be one of"),
        ({"schedule": "linear"}, "schedule must be one of"),
        ({"compute_dtype": "float16"}, "compute_dtype must be one of"),
        ({"augment": "mixup"}, "augment must be one of"),
        ({"augment": "crop_flip"}, "augment must not mirror textures"),
        ({"warmup_steps": 6}, "warmup_steps must be under num_steps = 6, got 6"),
        ({"num_checks": 7}, "num_checks must be at most num_steps = 6, got 7"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(fit(), **change)


def test_a_network_may_tell_more_classes_than_there_are():
    assert replace(fit(), model_args=(("num_classes", 9), *NETWORK)).architecture.num_classes == 9


def test_images_that_are_not_there_are_counted_and_said_in_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("WIDTHTHEORY_DATA", str(tmp_path))
    published = replace(fit(), images="cifar10.CIFAR10", images_args=(), augment="crop_flip")
    assert (published.architecture.image_size, published.architecture.num_classes) == (32, 10)
    assert published.cost > fit().cost
    with pytest.raises(ValueError, match="batch_size must be at most the 50000 training images"):
        replace(published, batch_size=50001)
    with pytest.raises(DataError, match=r"cifar-10|CIFAR-10"):
        measure([published], 1)


def test_program_key_is_blind_to_seed_rate_and_decay_alone():
    key = fit().program_key
    assert key == fit(5, 1e-4, weight_decay=0.1).program_key
    for change in ({"num_steps": 7}, {"augment": "none"}, {"images_args": IMAGES[:2]}, {"keep_weights": True}):
        assert replace(fit(), **change).program_key != key


def test_twins_differ_in_images_alone():
    key = fit().twin_key
    assert replace(fit(), images_args=(("difficulty", "easy"), ("image_size", 16))).twin_key == key
    assert replace(fit(), num_steps=7).twin_key != key


def test_rates_rise_and_then_stay_or_fall():
    steady = schedule(fit(num_steps=5, schedule="constant"))
    assert steady.tolist() == [0.5, 1, 1, 1, 1]
    falling = [1.0, 0.5 + np.sqrt(1 / 8), 0.5, 0.5 - np.sqrt(1 / 8)]  # (1 + cos) / 2 at 0, 45, 90 and 135 degrees
    assert schedule(fit(num_steps=6)).tolist() == pytest.approx([0.5, 1.0, *falling], abs=1e-15)
    assert schedule(fit(num_steps=4, warmup_steps=0)).tolist() == pytest.approx(falling, abs=1e-15)
    assert schedule(fit(num_steps=5, warmup_steps=4)).tolist() == [0.25, 0.5, 0.75, 1, 1]
    assert schedule(fit(num_steps=0, warmup_steps=0, num_checks=1)).size == 0


def test_fits_that_go_on_alike_are_told_by_all_that_matters(monkeypatch):
    program = choose_program(fit(), 1)
    first = program_identity(program, [fit(0), fit(1)])
    assert first == program_identity(program, [fit(0), fit(1)])
    assert first != program_identity(program, [fit(0), fit(2)])
    assert first != program_identity(program, [fit(1), fit(0)])
    assert first != program_identity(replace(program, segment=9), [fit(0), fit(1)])
    monkeypatch.setattr("jax.__version__", "of next year")
    assert first != program_identity(program, [fit(0), fit(1)])


def test_rows_survive_the_table(tmp_path):
    assert fit() == replace(fit(), model_args=NETWORK[::-1])
    assert identity.key(fit()) == identity.key(replace(fit(), model_args=NETWORK[::-1]))
    path = tmp_path / "claim.csv"
    with Ledger.open(tmp_path / "one.sqlite") as ledger:
        ledger.record("claim", [Row(fit(seed), metrics={"test_accuracy": 0.1 + 0.2}) for seed in range(2)])
        ledger.export_csv(path, "claim", [fit(seed) for seed in range(2)])
    header = path.read_text().splitlines()[0].split(",")
    assert {"images", "images.num_train", "model", "model.widths", "seed", "learning_rate"} <= set(header)
    with Ledger.open(tmp_path / "two.sqlite") as ledger:
        ledger.import_csv(path, Classification, "claim")
        assert not ledger.missing("claim", [fit(seed) for seed in range(2)])
        table = ledger.table("claim", [fit(seed) for seed in range(2)])
        assert table["model.widths"].tolist() == [(6,), (6,)]
        assert table["test_accuracy"].tolist() == [0.1 + 0.2] * 2


def test_longer_and_wider_fits_cost_more_and_share_a_chunk_with_fewer():
    costs = [one.cost for one in (fit(), fit(num_steps=60), fit(num_steps=60, batch_size=32))]
    assert costs == sorted(costs)
    work = 2 * fit().architecture.cost().multiply_adds  # of an image; a step goes forward and, for twice that, back
    assert costs[0] == work * (3 * 6 * 16 + 3 * 40 + 70)
    many = replace(fit(), images_args=(("image_size", 16), ("num_test", 40), ("num_train", 5000)))
    assert many.cost == work * (3 * 6 * 16 + 3 * 40 + 2048)  # of which no more are measured
    assert fit(num_steps=10**7).chunk_size == 1
    assert fit().chunk_size > 1
    # Packed for the machine that will run it: a small one hands over what suits the GPU of another.
    for memory, most in ((None, 8), (80e9, 64)):
        chunks = pack([fit(seed) for seed in range(64)], {}, memory=memory).chunks
        assert {len(chunk.cells) for chunk in chunks} == {most}
    wide = replace(fit(), model_args=(("stem_width", 4000), ("strides", (1,)), ("widths", (6,))))
    assert wide.device_chunk_size(80e9) < 64
    wide = replace(fit(), model_args=(("stem_width", 10**6), ("strides", (1,)), ("widths", (6,))))
    assert wide.device_chunk_size(80e9) == 1
