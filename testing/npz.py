"""A tiny NPZ set: bright pneumonia, dark normal films."""

from pathlib import Path

import numpy as np

from cxr.npz.films import NpzFilm, NpzRow, encode_npz, write_index

CLASSES = ("normal", "pneumonia")
FILMS = {"train": 8, "val": 4, "test": 2, "corrupted": 4, "swapped": 4}


def write_npz_set(folder: Path, side: int = 32, per_split: dict[str, int] = FILMS) -> Path:
    """Write an NPZ set in the format of preprocess into `folder`; equal bytes in every call."""
    rng = np.random.default_rng(5)
    rows = []
    for split, count in per_split.items():
        for number in range(count):
            label = number % 2
            image = rng.integers(0, 140, (side, side, 4), np.uint8)
            image[..., :3] += np.uint8(80 * label)
            image[..., 1:3] = image[..., :1]
            image[..., 3] = 255
            name, file = f"{split}{number:03d}", f"{split}/{split}{number:03d}.npz"
            film = NpzFilm(
                image, label, name, f"P{name}", CLASSES, f"hash-{name}", (0, 0, side, side), (side, side), "{}"
            )
            (folder / split).mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(encode_npz(film))
            rows.append(NpzRow(file, name, f"P{name}", split, CLASSES[label], CLASSES, f"hash-{name}", {"view": "PA"}))
    write_index(folder / "index.csv", rows)
    return folder
