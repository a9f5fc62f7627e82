"""Times of networks and of the device, by formula."""

import pandas as pd

CELL = ["work", "platform", "batch_size", "model.widths"]
NETWORKS = ((1, 64), (4, 32), (16, 16))  # blocks and width
NUM_ROUNDS = 3


def seconds(platform, num_blocks, batch_size, turn):
    """A microsecond an image, and a call a layer: 10 of them on the CPU, 2 on the GPU; slow rounds slow all alike."""
    call = 1e-5 if platform == "cpu" else 2e-6
    return (1e-6 * batch_size + call * num_blocks) * (1 + 0.5 * turn)


def tables(num_seeds):
    """The ratio of 16 blocks to 1 on the CPU is (b + 160) / (b + 10) at b images a batch."""
    rows = []
    for platform in ("cpu", "gpu"):
        for run in range(num_seeds):
            made = {"platform": platform, "run": run, "status": "done", "diverged": 0.0, "device_name": "a machine"}
            for work, flops, moved, size in (("matmul", 2e9, 1e6, 1000), ("copy", 1e6, 8e6, 10**6)):
                times = {f"round_{turn + 1}": 0.01 for turn in range(NUM_ROUNDS)}
                row = {**made, "work": work, "batch_size": 1, "size": size, "flops": flops, "bytes": moved}
                rows.append({**row, **times, "seconds_median": 0.01})
            for num_blocks, width in NETWORKS:
                for batch_size in (1, 16, 256):
                    times = [seconds(platform, num_blocks, batch_size, turn) for turn in range(NUM_ROUNDS)]
                    row = {**made, "work": "train", "batch_size": batch_size, "model.widths": f"[{width}]", "size": 0}
                    row |= {"num_convs": 2.0 * num_blocks + 1, "multiply_adds": 1e6 + num_blocks, "num_params": 1e4}
                    row |= {"flops": 100.0 * batch_size, "bytes": 10.0 * batch_size + width}
                    row |= {f"round_{turn + 1}": value for turn, value in enumerate(times)}
                    rows.append({**row, "seconds_median": times[1]})
    return {"": pd.DataFrame(rows)}
