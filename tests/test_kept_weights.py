"""Weights and filters that fits keep: whoever wrote the bytes, they are data, or a ValueError."""

import io
import zipfile

import numpy as np
import pytest

from widththeory.classify import load_filters, save_filters
from widththeory.fit import load_weights


def npy(shape, body=b""):
    """A file whose header promises so many numbers."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue() + body


def unclosed():
    """A header that is no Python, of which NumPy's reader raises what Python's tokenizer does."""
    return npy((1, 1), bytes(8)).replace(b"}", b"(")


def zipped(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("arr_0.npy", content)
    return file.getvalue()


def test_weights_of_somebody_else_are_data():
    bomb, packed, pickled, named_otherwise = (io.BytesIO() for _ in range(4))
    np.savez_compressed(bomb, np.zeros(10**7))
    np.savez_compressed(packed, np.arange(12.0).reshape(3, 4), np.arange(3.0))
    torn = bytearray(packed.getvalue())
    torn[30 + torn[26] + torn[28]] = 7  # the first byte after header, name and more: a block of no known kind
    np.savez(pickled, np.array([print], dtype=object))
    np.savez(named_otherwise, weight=np.ones((1, 1)), bias=np.ones(1))
    whole = zipped(npy((1, 1), bytes(8)))
    other = whole.replace(bytes(8), bytes(7) + b"\x01", 1)  # of another checksum
    for blob, said in (
        (bomb.getvalue(), "must not unfold"),
        (pickled.getvalue(), "allow_pickle=False"),
        (b"no", r"\.npz file"),
        (named_otherwise.getvalue(), "bytes of an .npz file of arr_0, arr_1, ...: 'arr_0 is not a file"),
        (zipped(npy((10**15,))), "bytes of an .npz file of arr_0, arr_1, ...: Unable to allocate 7.11 PiB"),
        (zipped(unclosed()), "bytes of an .npz file of arr_0, arr_1, ...: "),
        (bytes(torn), "bytes of an .npz file of arr_0, arr_1, ...: Error -3 while decompressing data: invalid block"),
        (other, "bytes of an .npz file of arr_0, arr_1, ...: Bad CRC-32"),
        (whole[:-30], r"\.npz file"),
    ):
        with pytest.raises(ValueError, match=said):
            load_weights(blob)


def test_filters_of_somebody_else_are_data():
    kernel = np.arange(24.0).reshape(1, 2, 3, 4)
    assert np.array_equal(load_filters(save_filters(kernel)), kernel)
    pickled = io.BytesIO()
    np.save(pickled, np.array([print], dtype=object))
    for blob, said in (
        (npy((10**15, 1, 1, 1)), "filters must be the bytes of an .npy file: Unable to allocate"),
        (unclosed(), "filters must be the bytes of an .npy file: "),
        (npy((9,), bytes(72)), "filters must have four axes, got 1"),
        (save_filters(kernel)[:-1], "EOF|cannot reshape"),
        (pickled.getvalue(), "allow_pickle=False"),
        (zipped(b""), "magic string"),
        (b"", "EOF"),
    ):
        with pytest.raises(ValueError, match=said):
            load_filters(blob)
