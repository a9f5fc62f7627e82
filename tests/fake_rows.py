"""What a fit of a given error measured, for tables made by formula."""


def measured(relative, moment=0.5):
    """What a fit of this relative error measured."""
    return {
        "train_mse": 0.9 * relative * moment,
        "test_mse": relative * moment,
        "test_mse_stderr": 0.01 * relative * moment,
        "target_variance": moment,
        "target_second_moment": moment,
        "relative_error": relative,
        "status": "done",
        "diverged": 0.0,
        "num_steps": 100,
    }
