"""The bad films: each kind is a function that returns file names and contents, or creates a non-regular file."""

import io
import os
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import PIL.ImageCms
import pydicom.data
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

Picture = np.ndarray[Any, Any]
Files = Iterator[tuple[str, bytes]]
CUTS = 40  # lengths that each format is cut to
CLASS = "NORMAL"


def film(seed: int = 0, width: int = 160, height: int = 128) -> Picture:
    """A crude 8-bit film: two dark lungs in a bright chest."""
    random = np.random.default_rng(seed)
    grey = np.full((height, width), 170, np.float32)
    for side in (0.3, 0.7):
        cv2.ellipse(grey, (int(width * side), height // 2), (width // 8, height // 3), 0, 0, 360, 70, -1)
    return np.clip(cv2.GaussianBlur(grey, (0, 0), 2) + random.normal(0, 6, grey.shape), 0, 255).astype(np.uint8)


def encoded(suffix: str, picture: Picture) -> bytes:
    """A picture as OpenCV writes it."""
    return cv2.imencode(suffix, picture)[1].tobytes()


def saved(picture: PIL.Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as Pillow writes it."""
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def dicom(picture: Picture, bits: int = 8, photometric: str = "MONOCHROME2", syntax: str = "", **tags: Any) -> bytes:
    """A DICOM file of a picture."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = ComputedRadiographyImageStorage, generate_uid(entropy_srcs=["film"])
    dataset.PatientID, dataset.Modality = "unknown", "CR"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.set_pixel_data(picture, photometric, bits)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    elif syntax:
        dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian and bits > 8:
        dataset.PixelData = picture.astype(">u2").tobytes()
    stream = io.BytesIO()
    little, implicit = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True, little_endian=little, implicit_vr=implicit)
    return stream.getvalue()


def _cut(suffix: str, content: bytes) -> Files:
    for index in range(CUTS):
        yield f"{index}{suffix}", content[: 1 + index * (len(content) - 2) // (CUTS - 1)]


def _animated(kind: str) -> bytes:
    frames = [PIL.Image.fromarray(film(seed)) for seed in range(3)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:])


def _declares(width: int, height: int) -> bytes:
    png = bytearray(encoded(".png", film()))
    png[16:24] = struct.pack(">II", width, height)
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    return bytes(png)


def _png_bomb(side: int) -> bytes:
    """A sound PNG of side * side black pixels in some kilobytes."""
    pack = zlib.compressobj(9)
    rows = b"".join(pack.compress(bytes(side + 1)) for _ in range(side)) + pack.flush()
    parts = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(body)) + kind + body for kind, body in parts]
    sums = [zlib.crc32(kind + body).to_bytes(4, "big") for kind, body in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk + total for chunk, total in zip(chunks, sums, strict=True))


def _zip_bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("film.png", bytes(100_000_000))
    return stream.getvalue()


def _one(name: str, content: Callable[[], bytes]) -> Callable[[], Files]:
    def files() -> Files:
        yield name, content()

    return files


def _several(suffix: str, contents: Callable[[], Iterator[bytes]]) -> Callable[[], Files]:
    return lambda: ((f"{index}{suffix}", content) for index, content in enumerate(contents()))


def _colour() -> PIL.Image.Image:
    return PIL.Image.fromarray(np.dstack([film()] * 3))


def _hot() -> Picture:
    deep = film(7).astype(np.uint16) * 16
    deep[5, 5] = 65535
    return deep


def _exif(turn: int) -> bytes:
    exif = PIL.Image.Exif()
    exif[0x0112] = turn
    return saved(PIL.Image.fromarray(film(20 + turn)), "JPEG", exif=exif)


def _profile() -> bytes:
    return PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()


def _without_pixels() -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(dicom(film())))
    del dataset.PixelData
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def _padded() -> Picture:
    deep = np.full((188, 220), 4095, np.uint16)
    deep[30:-30, 30:-30] = film(8).astype(np.uint16) * 8
    return deep


def _pydicom() -> Files:
    folder = Path(pydicom.data.__file__).parent / "test_files"
    for index, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".py")):
        yield f"{index:03d}_{path.stem}.dcm", path.read_bytes()


TEXT, PAGE = b"This is a letter, and no film.\n" * 20, b"<!doctype html><html><body>404</body></html>"
NAMES = (
    "Überweisung.png",
    "胸部.png",
    "line\nbreak.png",
    "a b.png",
    "quote'\".png",
    "comma,.png",
    "\u202ertl.png",
    "#1.png",
    "odd.npz#train/0",
    "carriage\rreturn.png",
    "not\udcffutf8.png",  # as Python tells a byte that is no UTF-8
)
KINDS: dict[str, Callable[[], Files]] = {
    "sound PNG, JPEG, TIFF, BMP, DICOM": lambda: (
        (f"sound{suffix}", dicom(film(9)) if suffix == ".dcm" else encoded(suffix, film(index)))
        for index, suffix in enumerate((".png", ".jpg", ".tif", ".bmp", ".dcm"), 10)
    ),
    "JPEG cut short": lambda: _cut(".jpg", encoded(".jpg", film(1))),
    "progressive JPEG cut short": lambda: _cut(".jpg", saved(PIL.Image.fromarray(film(2)), "JPEG", progressive=True)),
    "PNG cut short": lambda: _cut(".png", encoded(".png", film(3))),
    "16-bit PNG cut short": lambda: _cut(".png", encoded(".png", film(4).astype(np.uint16) * 16)),
    "TIFF cut short": lambda: _cut(".tif", encoded(".tif", film(5))),
    "BMP cut short": lambda: _cut(".bmp", encoded(".bmp", film(6))),
    "DICOM cut short": lambda: _cut(".dcm", dicom(film(7))),
    "12-bit DICOM cut short": lambda: _cut(".dcm", dicom(film(8).astype(np.uint16) * 16, 12)),
    "zero bytes": _several(".png", lambda: iter([b"", b"", b""])),
    "nothing but zeros": _several(".jpg", lambda: (bytes(size) for size in (1, 100, 10_000, 1_000_000))),
    "random bytes": _several(
        ".png", lambda: (np.random.default_rng(size).bytes(size) for size in range(1, 40_000, 1000))
    ),
    "JPEG called .png, and so on": lambda: iter(
        [("0.png", encoded(".jpg", film(30))), ("1.jpg", encoded(".png", film(31))), ("2.tif", dicom(film(32)))]
    ),
    "picture called .dcm": _one("0.dcm", lambda: encoded(".png", film(33))),
    "text or HTML called .dcm": _several(".dcm", lambda: iter([TEXT, PAGE])),
    "text or HTML called .png": _several(".png", lambda: iter([TEXT, PAGE])),
    "CMYK JPEG": _one("0.jpg", lambda: saved(_colour().convert("CMYK"), "JPEG")),
    "16-bit PNG": _one("0.png", lambda: encoded(".png", film(34).astype(np.uint16) * 256)),
    "16-bit PNG with a hot pixel": _one("0.png", lambda: encoded(".png", _hot())),
    "32-bit float TIFF": _one("0.tif", lambda: encoded(".tif", film(35).astype(np.float32) / 255)),
    "palette PNG": _one("0.png", lambda: saved(PIL.Image.fromarray(film(36)).convert("P"), "PNG")),
    "PNG with alpha": _one("0.png", lambda: encoded(".png", np.dstack([film(37)] * 3 + [np.full_like(film(), 7)]))),
    "grey PNG with alpha": _one("0.png", lambda: saved(PIL.Image.fromarray(film(38)).convert("LA"), "PNG")),
    "animated GIF": _one("0.png", lambda: _animated("GIF")),
    "animated PNG": _one("0.png", lambda: _animated("PNG")),
    "animated WebP": _one("0.png", lambda: _animated("WEBP")),
    "TIFF of several pages": _one("0.tif", lambda: _animated("TIFF")),
    "1x1": _several(".png", lambda: iter([encoded(".png", np.zeros((1, 1), np.uint8))])),
    "63 pixels and less": _several(".png", lambda: (encoded(".png", film(40, side, side)) for side in range(8, 64, 8))),
    "one grey value": _several(
        ".png", lambda: (encoded(".png", np.full((99, 99), one, np.uint8)) for one in (0, 128, 255))
    ),
    "colour photograph": _one("0.png", lambda: encoded(".png", np.dstack([film(1) // 4, film(2), film(3) // 2]))),
    "longer than 3 to 1": _one("0.png", lambda: encoded(".png", film(41, 400, 70))),
    "header of 20000x20000": _one("0.png", lambda: _declares(20000, 20000)),
    "header of 2 billion pixels a side": _one("0.png", lambda: _declares(2**31 - 1, 2**31 - 1)),
    "sound PNG of 20000x20000 in 400 kB": _one("0.png", lambda: _png_bomb(20000)),
    "ZIP bomb": _several(".png", lambda: iter([_zip_bomb()])),
    "ZIP bomb called .dcm": _one("0.dcm", _zip_bomb),
    "turned by EXIF, all eight ways": _several(".jpg", lambda: (_exif(turn) for turn in range(1, 9))),
    "progressive JPEG": _one("0.jpg", lambda: saved(PIL.Image.fromarray(film(50)), "JPEG", progressive=True)),
    "JPEG with an ICC profile": _one("0.jpg", lambda: saved(_colour(), "JPEG", icc_profile=_profile())),
    "DICOM without pixels": _one("0.dcm", _without_pixels),
    "DICOM of a CT or MR": _several(".dcm", lambda: (dicom(film(51), Modality=one) for one in ("CT", "MR"))),
    "DICOM in colour": _one("0.dcm", lambda: dicom(np.dstack([film(52)] * 3), photometric="RGB")),
    "DICOM of several frames": _one("0.dcm", lambda: dicom(np.stack([film(53), film(54)]))),
    "DICOM, MONOCHROME1": _one("0.dcm", lambda: dicom(255 - film(55), photometric="MONOCHROME1")),
    "DICOM, PixelPaddingValue": _one("0.dcm", lambda: dicom(_padded(), 12, PixelPaddingValue=4095)),
    "DICOM, implicit VR": _one("0.dcm", lambda: dicom(film(56), syntax=ImplicitVRLittleEndian)),
    "DICOM, big endian": _one("0.dcm", lambda: dicom(film(57).astype(np.uint16) * 16, 12, syntax=ExplicitVRBigEndian)),
    "DICOM, deflated": _one("0.dcm", lambda: dicom(film(58), syntax=DeflatedExplicitVRLittleEndian)),
    "DICOM, RLE": _one("0.dcm", lambda: dicom(film(59), syntax=RLELossless)),
    "DICOM, unknown transfer syntax": _one(
        "0.dcm", lambda: dicom(film(60)).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0")
    ),
    "DICOM of 60000x60000 by its header": _one("0.dcm", lambda: dicom(film(61), Rows=60000, Columns=60000)),
    "strange names": lambda: ((name, encoded(".png", film(70 + index))) for index, name in enumerate(NAMES)),
    "pydicom's test files": _pydicom,
}


def write(root: Path) -> dict[str, str]:
    """Write the corpus; returns the kind of each entry by its path relative to the root."""
    written = {}
    for number, (kind, files) in enumerate(KINDS.items()):
        for name, content in files():
            path = root / CLASS / f"{number:02d}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            written[path.relative_to(root).as_posix()] = kind
    place = root / CLASS / "no_file"
    (place / "folder.jpg").mkdir(parents=True)
    (place / "dangling.png").symlink_to("nowhere.png")
    os.mkfifo(place / "pipe.png")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(place / "socket.png"))
    (place / "device.png").symlink_to(os.devnull)
    closed = place / "closed.png"
    closed.write_bytes(encoded(".png", film(90)))
    closed.chmod(0)
    for name, kind in (
        ("folder.jpg", "folder called x.jpg"),
        ("dangling.png", "dangling link"),
        ("pipe.png", "named pipe"),
        ("socket.png", "socket"),
        ("device.png", "link to a device"),
        ("closed.png", "no permission"),
    ):
        written[(place / name).relative_to(root).as_posix()] = kind
    return written
