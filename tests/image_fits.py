"""Settings of fits to images that are quick to compile, for tests of the engine and of its snapshots."""

from widththeory.classify import Classification

IMAGES = (("image_size", 16), ("num_test", 40), ("num_train", 70))
# Three convolutions - one of them depthwise - and a dense layer: compiling is what these tests cost.
NETWORK = (("stem_width", 4), ("strides", (1,)), ("widths", (6,)))
TIMES = {"seconds": 0, "step_seconds": 0}  # what differs from one run to the next


def fit(seed=0, learning_rate=0.05, **changes):
    """Settings of one fit, in float64 unless changed."""
    settings = {"num_steps": 6, "batch_size": 16, "num_checks": 3, "weight_decay": 1e-2, "label_smoothing": 0.1}
    settings |= {"augment": "crop", "compute_dtype": "float64", "warmup_steps": 2} | changes
    return Classification("textures.Textures", IMAGES, "mobilenet.MobileNet", NETWORK, seed, learning_rate, **settings)
