"""Writes the files of `golden` with Python's pickle, SciPy and Pillow.

    python host-tools/frames/tests/make_golden.py

Two images of 32 x 32 each: sample `at` of the planes of image `i` is (7 at + 50 i) mod 256. For the
codec one picture and what Pillow's JPEG (libjpeg-turbo) leaves of it.
"""

import io
import pickle
import sys
from pathlib import Path

import numpy
from PIL import Image
from scipy.io import savemat

FOLDER = Path(__file__).parent / "golden"
PLANES = ((7 * numpy.arange(3072)[None] + 50 * numpy.arange(2)[:, None]) % 256).astype(numpy.uint8)


def batch(labels: dict) -> dict:
    name = "testing batch 1 of 1"
    return {"batch_label": name, **labels, "data": PLANES, "filenames": ["a", "b"]}


def codec() -> None:
    row, column = numpy.mgrid[:32, :32]
    picture = numpy.stack([60 + 4 * column, 30 + 5 * row, 200 - 3 * (row + column)], 2)
    picture[6:19, 9:22] = [220, 40, 30]
    picture = Image.fromarray(picture.astype(numpy.uint8))
    picture.save(FOLDER / "codec.png")
    cases = [(75, 2, "420"), (75, 1, "422"), (75, 0, "444"), (30, 2, "420")]
    for quality, sampling, name in cases:
        packed = io.BytesIO()
        picture.save(packed, "jpeg", quality=quality, subsampling=sampling)
        Image.open(packed).save(FOLDER / f"codec-{quality}-{name}.png")


def main() -> None:
    codec()
    ten = batch({"labels": [3, 9]})
    hundred = batch({"fine_labels": [49, 99], "coarse_labels": [10, 13]})
    for name, content, protocol in [("cifar10", ten, 4), ("cifar100", hundred, 3)]:
        path = FOLDER / f"{name}-protocol{protocol}.pickle"
        path.write_bytes(pickle.dumps(content, protocol))
    # Rows, columns, channels, images.
    pixels = PLANES.reshape(2, 3, 32, 32).transpose(2, 3, 1, 0)
    digits = {"X": pixels, "y": numpy.array([[1], [10]], numpy.uint8)}
    savemat(FOLDER / "digits-compressed.mat", digits, do_compression=True)
    savemat(FOLDER / "digits-plain.mat", {**digits, "y": digits["y"].astype(float)})
    print(f"Python {sys.version.split()[0]}, NumPy {numpy.__version__}")


if __name__ == "__main__":
    main()
