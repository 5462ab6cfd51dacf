"""The three stages' work on one film with torchvision and MONAI, one thread, for benchmarks.preprocess."""

import functools
import hashlib
from pathlib import Path

import numpy as np
import torch
from monai.transforms import FillHoles
from scipy import ndimage
from torch import Tensor
from torchvision.io import ImageReadMode, encode_jpeg, read_image, write_png
from torchvision.transforms.v2 import functional as F

from cxr.segment.segmenter import load_segmenter
from segmenter.network import LungNet
from testing.workspace import ROOT

FRAME, STORED = 512, 144  # pixels
KERNELS = torch.tensor(
    [[[0, 1, 0], [1, -4, 1], [0, 1, 0]], [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]]
).float()[:, None]  # Laplacian and Sobel
torch.set_num_threads(1)
fill_holes = FillHoles()


def ingest(film: Path) -> None:
    """Decode, hash bytes and pixels, refuse constant films; statistics at 224 px, and a thumbnail, as tensors."""
    hashlib.blake2b(film.read_bytes(), digest_size=16).hexdigest()
    grey = read_image(str(film), ImageReadMode.GRAY)
    hashlib.blake2b(grey.numpy(), digest_size=16).hexdigest()
    low, high = grey.aminmax()
    assert low < high
    statistics(F.resize(grey, [224, 224], antialias=True))
    F.resize(grey, [48, 48], antialias=True)


def decode_and_hash(film: Path) -> None:
    """What no ingest can do without: decode, hash bytes and pixels."""
    hashlib.blake2b(film.read_bytes(), digest_size=16).hexdigest()
    hashlib.blake2b(read_image(str(film), ImageReadMode.GRAY).numpy(), digest_size=16).hexdigest()


def statistics(film: Tensor) -> list[float]:
    """Sharpness, contrast, exposure and compressed size of a film (1, 224, 224)."""
    level = film.float()
    laplacian, along, down = torch.nn.functional.conv2d(level[None], KERNELS, padding=1)[0]
    detail = level - F.gaussian_blur(level, [7, 7], [1.0, 1.0])
    rim = torch.cat([level[0, :11].ravel(), level[0, -11:].ravel(), level[0, 11:-11, :11].ravel()])
    percentiles = level.quantile(torch.tensor([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]))
    values = [laplacian.var(), torch.hypot(along, down).mean(), detail.var() / level.var(), level.std(), level.mean()]
    values += [(film < 16).float().mean(), (film > 239).float().mean(), rim.mean(), rim.std(), *percentiles]
    return [float(value) for value in values] + [float(encode_jpeg(film, 90).numel())]


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
    """The default recipe: the whole film squashed to 144 px, its mask as fourth channel, NPZ. Copies are extra."""
    grey = read_image(str(film), ImageReadMode.GRAY)
    write_npz(grey, lungs_of(film, grey), film.stem)


def corrupted(film: Path) -> None:
    """A copy with another crop, exposure, sharpness, resolution and noise, at twice the stored size."""
    grey = F.resize(read_image(str(film), ImageReadMode.GRAY), [230, 288], antialias=True)
    lungs = F.resize(lungs_of(film, grey), [230, 288], antialias=True)
    grey, lungs = (part[:, 10:217, 20:279] for part in (grey, lungs))
    grey = F.adjust_gamma(F.adjust_brightness(grey, 1.1), 1.2)
    grey = F.gaussian_blur(grey, [9, 9], [1.3, 1.3])
    height, width = grey.shape[1:]
    grey = F.resize(F.resize(grey, [140, 175], antialias=True), [height, width], antialias=True)
    noise = F.resize(torch.randn(1, 160, 201) * 6, [height, width], antialias=True)
    write_npz((grey + noise).clamp(0, 255).to(torch.uint8), lungs, f"{film.stem}.corrupted")


def swapped(film: Path, reference: Path) -> None:
    """A copy with the histogram and the radial spectrum of another film, at twice the stored size."""
    full = read_image(str(film), ImageReadMode.GRAY)
    grey, other = (
        F.resize(one, [288, 288], antialias=True).float()
        for one in (full, read_image(str(reference), ImageReadMode.GRAY))
    )
    ranked = other.ravel().sort().values[grey.ravel().argsort().argsort()].reshape(288, 288)
    ring = (
        torch.hypot(torch.fft.fftfreq(288)[:, None], torch.fft.rfftfreq(288)[None]).mul(64).round().long().clamp(max=40)
    )
    spectrum, wanted = torch.fft.rfft2(ranked), torch.fft.rfft2(other[0])
    powers = [torch.bincount(ring.ravel(), one.abs().square().ravel(), 41) for one in (wanted, spectrum)]
    gain = (powers[0] / powers[1]).clamp(1 / 9, 9).sqrt()
    picture = torch.fft.irfft2(spectrum * gain[ring], s=(288, 288)).clamp(0, 255).to(torch.uint8)
    write_npz(F.resize(picture[None], [230, 288], antialias=True), lungs_of(film, full), f"{film.stem}.swapped")


def lungs_of(film: Path, grey: Tensor) -> Tensor:
    """The part of the film's mask that shows the film, (1, h, w)."""
    return unletterbox(read_image(f"data/masks/{film.stem}.png", ImageReadMode.GRAY), *grey.shape[1:])


def write_npz(grey: Tensor, lungs: Tensor, name: str) -> None:
    """Squash a film and its mask to the stored size and write them."""
    image, mask = (F.resize(part, [STORED, STORED], antialias=True) for part in (grey, lungs))
    stored = torch.cat([image.expand(3, -1, -1), (mask > 127) * torch.tensor(255, dtype=torch.uint8)])
    out = Path("peer") / "npz"
    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / name, image=stored.permute(1, 2, 0).numpy(), label=np.int64(0), image_id=name)


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
