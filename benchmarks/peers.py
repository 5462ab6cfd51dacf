"""The three stages' work on one film with torchvision and MONAI, one thread, for benchmarks.preprocess."""

import functools
import hashlib
from pathlib import Path

import numpy as np
import torch
from monai.transforms import FillHoles, ScaleIntensity
from scipy import ndimage
from torch import Tensor
from torchvision.io import ImageReadMode, read_image, write_png
from torchvision.ops import masks_to_boxes
from torchvision.transforms.v2 import functional as F

from cxr.segment.segmenter import load_segmenter
from segmenter.network import LungNet
from testing.workspace import ROOT

FRAME, STORED = 512, 224  # pixels
torch.set_num_threads(1)
fill_holes = FillHoles()
stretch = ScaleIntensity(0.0, 255.0)


def ingest(film: Path) -> None:
    """Decode, hash bytes and pixels, and refuse constant films."""
    hashlib.blake2b(film.read_bytes()).hexdigest()
    grey = read_image(str(film), ImageReadMode.GRAY)
    hashlib.blake2b(grey.numpy().tobytes()).hexdigest()
    assert grey.unique().numel() > 16


def segment(film: Path) -> None:
    """Letterbox to 512, U-Net, two largest components, holes filled, PNG."""
    framed = letterbox(read_image(str(film), ImageReadMode.RGB), FRAME)
    inner = inner_px()
    with torch.inference_mode():
        small = F.resize(framed, [inner, inner], antialias=True)
        probability = network()(small[None].float())
        probability = torch.nn.functional.interpolate(probability, (FRAME, FRAME), mode="bilinear")[0]
    labels, _ = ndimage.label((probability > 0.5).numpy())
    largest = np.argsort(-np.bincount(labels.ravel())[1:], kind="stable")[:2] + 1
    mask = fill_holes(torch.from_numpy(np.isin(labels, largest).astype(np.float32)))
    out = Path("peer") / "masks"
    out.mkdir(parents=True, exist_ok=True)
    write_png(torch.as_tensor(mask * 255).to(torch.uint8), str(out / f"{film.stem}.png"))


def preprocess(film: Path) -> None:
    """Crop to the lungs with a margin, resize to 224, equalise, stretch, mask channel, NPZ."""
    grey = read_image(str(film), ImageReadMode.GRAY)
    mask = read_image(f"data/masks/{film.stem}.png", ImageReadMode.GRAY)
    height, width = grey.shape[1:]
    scale = FRAME / max(height, width)
    offset = torch.tensor([(FRAME - width * scale) / 2, (FRAME - height * scale) / 2] * 2)
    box = (masks_to_boxes(mask > 0)[0] - offset) / scale
    extra = 0.08 * float((box[2:] - box[:2]).max())
    left, top = max(0, int(box[0] - extra)), max(0, int(box[1] - extra))
    right, bottom = min(width, int(box[2] + extra)), min(height, int(box[3] + extra))
    inside = F.resize(unletterbox(mask, height, width), [height, width], antialias=True)[:, top:bottom, left:right]
    image = letterbox(F.equalize(grey[:, top:bottom, left:right]), STORED)
    image = torch.as_tensor(stretch(image)).to(torch.uint8)
    stored = torch.cat([image.expand(3, -1, -1), letterbox(inside, STORED)]).permute(1, 2, 0).numpy()
    out = Path("peer") / "npz"
    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / film.stem, image=stored, label=np.int64(0), image_id=film.stem)


def letterbox(image: Tensor, side: int) -> Tensor:
    """Resize (channels, height, width) into a square, aspect kept, padded with black."""
    height, width = image.shape[1:]
    scale = side / max(height, width)
    image = F.resize(image, [round(height * scale), round(width * scale)], antialias=True)
    below, right = side - image.shape[1], side - image.shape[2]
    return F.pad(image, [right // 2, below // 2, right - right // 2, below - below // 2])


def unletterbox(mask: Tensor, height: int, width: int) -> Tensor:
    """The part of a (1, 512, 512) mask that shows the film."""
    scale = FRAME / max(height, width)
    return F.center_crop(mask, [round(height * scale), round(width * scale)])


@functools.cache
def inner_px() -> int:
    """The side that the network sees."""
    return load_segmenter(ROOT / "models" / "lung_segmenter.onnx").inner_px


@functools.cache
def network() -> LungNet:
    """The same network in PyTorch; its weights do not change its speed."""
    return LungNet().eval()
