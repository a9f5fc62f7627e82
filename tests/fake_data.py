"""Small archives of the layout that published data sets have, made here."""

import gzip
import hashlib
import io
import struct
import tarfile
import zipfile

import numpy as np
from PIL import Image


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def tar(members, mode="w:gz"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def wheel(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def ar(members):
    """As `ar` writes it: padded to an even length."""
    content = b"!<arch>\n"
    for name, member in members.items():
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(member):<10}`\n".encode() + member
        content += b"\n" * (len(member) % 2)
    return content


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def idx(array):
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def zipped(content):
    return gzip.compress(content, mtime=0)


def python2_pickle(labels, data, extra=b""):
    """A batch as Python 2 pickled it (protocol 2), opcode by opcode; `extra` comes before the last key."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x04cnumpy\nndarray\nq\x05K\x00\x85U\x01b\x87Rq\x06("
        + (b"K\x01" + b"K\x01M\x00\x0c\x86" + b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xff")
        + (b"J\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<i", len(data)) + data + b"tb")
    )
    numbers = b"".join(b"K" + bytes([label]) for label in labels)
    return (
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x04testU\x06labelsq\x03](" + numbers + b"e" + extra + b"U\x04data"
        + array + b"U\x09filenames](U\x05a.pngK\x07eu."
    )  # fmt: skip


def cifar_batches(images_a_class=2, seed=0):
    """Six batches: of each the labels and the pixels [image, height, width, channel]."""
    rng = np.random.default_rng(seed)
    labels = [rng.permutation(np.repeat(np.arange(10), images_a_class)) for _ in range(6)]
    return [(own, rng.integers(0, 256, (len(own), 32, 32, 3), dtype=np.uint8)) for own in labels]
