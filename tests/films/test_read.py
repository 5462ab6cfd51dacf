"""Films from every kind of file that hospitals and data sets use."""

import os
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pydicom
import pytest

from cxr.core.errors import CxrError
from cxr.films.film import NotAChestFilm
from cxr.films.read import Source, decode, decode_scaled, read_film, read_source
from tests.conftest import phantom, write_dicom, write_image

FILM = phantom(1)[0]


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_a_grey_png_comes_back_pixel_for_pixel(tmp_path: Path) -> None:
    film = read_film(str(write_image(tmp_path / "a.png", FILM)))
    assert np.array_equal(film.grey, FILM)
    assert (film.bits, film.coloured, film.colour) == (8, 0.0, None)


def test_grey_stored_as_rgb_has_no_visible_hue_even_as_jpeg(tmp_path: Path) -> None:
    film = read_film(str(write_image(tmp_path / "a.jpg", np.dstack([FILM] * 3))))
    assert film.coloured < 0.01
    assert similarity(film.grey, FILM) > 0.98


@pytest.mark.parametrize(("enough", "reduction"), [(640, 1), (320, 2), (150, 4), (10, 8)])
def test_a_jpeg_is_decoded_no_larger_than_needed_and_never_smaller(tmp_path: Path, enough: int, reduction: int) -> None:
    film = cv2.resize(FILM, (640, 480), interpolation=cv2.INTER_CUBIC)
    path = write_image(tmp_path / "a.jpg", film)
    small = decode_scaled(read_source(str(path)), (640, 480), enough)
    assert small.shape == (480 // reduction, 640 // reduction)
    assert similarity(small, cv2.resize(film, small.shape[::-1], interpolation=cv2.INTER_AREA)) > 0.99


def test_a_film_decoded_at_a_smaller_scale_ignores_the_exif_orientation(tmp_path: Path) -> None:
    film = cv2.resize(FILM, (640, 480), interpolation=cv2.INTER_CUBIC)
    path = tmp_path / "a.jpg"
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees"
    PIL.Image.fromarray(film).save(path, exif=exif)
    assert read_film(str(path)).grey.shape == (480, 640)
    assert decode_scaled(read_source(str(path)), (640, 480), 320).shape == (240, 320)


def test_a_png_is_decoded_whole(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", FILM)
    height, width = FILM.shape
    assert np.array_equal(decode_scaled(read_source(str(path)), (width, height), 8), FILM)


def test_colours_come_in_the_order_red_green_blue(tmp_path: Path) -> None:
    red = np.zeros((70, 70, 3), np.uint8)
    red[..., 2] = 200  # OpenCV writes BGR
    film = read_film(str(write_image(tmp_path / "a.png", red)))
    assert film.colour is not None
    assert film.colour[0, 0].tolist() == [200, 0, 0]
    assert film.coloured == 1.0


def test_a_12_bit_film_in_a_16_bit_png_uses_the_whole_range(tmp_path: Path) -> None:
    film = read_film(str(write_image(tmp_path / "a.png", FILM.astype(np.uint16) * 16)))
    assert film.bits == 16
    assert (film.grey.min(), film.grey.max()) == (0, 255)
    assert similarity(film.grey, FILM) > 0.999


def test_an_alpha_channel_is_dropped(tmp_path: Path) -> None:
    image = np.dstack([FILM, FILM, FILM, np.full_like(FILM, 7)])
    assert np.array_equal(read_film(str(write_image(tmp_path / "a.png", image))).grey, FILM)


def test_monochrome1_is_inverted_so_that_bone_is_bright(tmp_path: Path) -> None:
    plain = read_film(str(write_dicom(tmp_path / "a.dcm", FILM)))
    inverted = read_film(str(write_dicom(tmp_path / "b.dcm", 255 - FILM, photometric="MONOCHROME1")))
    assert np.abs(plain.grey.astype(int) - inverted.grey).max() <= 1
    assert similarity(plain.grey, FILM) > 0.999


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_dicom_of_any_depth_gives_the_same_film(tmp_path: Path, bits: int) -> None:
    film = read_film(str(write_dicom(tmp_path / "a.dcm", FILM, bits=bits)))
    assert film.bits == bits
    assert (film.grey.min(), film.grey.max()) == (0, 255)
    assert np.abs(film.grey.astype(int) - read_film(str(write_dicom(tmp_path / "b.dcm", FILM))).grey).max() <= 1


def test_a_window_in_the_header_is_applied(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", FILM, WindowCenter="100", WindowWidth="40")
    grey = read_film(str(path)).grey
    assert (grey[FILM < 75] == 0).all()
    assert (grey[FILM > 125] == 255).all()


@pytest.mark.parametrize("kind", ["png", "dicom"])
@pytest.mark.parametrize("spoilt", [65535, 0])
def test_one_hot_or_dead_pixel_leaves_a_deep_film_its_grey_levels(tmp_path: Path, kind: str, spoilt: int) -> None:
    """Scaled by its extremes, a 12-bit film with one hot pixel kept 18 grey levels."""
    deep = FILM.astype(np.uint16) * 16 + np.arange(FILM.shape[1], dtype=np.uint16) % 16 + 1000
    clean, hot = deep.copy(), deep.copy()
    hot[5, 5] = spoilt
    greys = []
    for name, pixels in (("clean", clean), ("hot", hot)):
        path = tmp_path / f"{name}.{kind}"
        path = write_image(path, pixels) if kind == "png" else write_dicom(path, pixels, 16)
        greys.append(read_film(str(path)).grey)
    assert len(np.unique(greys[1])) > 150
    difference = np.abs(greys[0].astype(int) - greys[1])
    difference[5, 5] = 0
    assert difference.max() <= 1


def test_8_bit_films_are_not_scaled(tmp_path: Path) -> None:
    narrow = FILM // 4 + 90
    assert np.array_equal(read_film(str(write_image(tmp_path / "a.png", narrow))).grey, narrow)


def padded(value: int, limit: int | None = None) -> np.ndarray:
    """A 12-bit film inside a border of the padding value, or of values up to a limit."""
    film = np.full((FILM.shape[0] + 60, FILM.shape[1] + 60), value, np.uint16)
    film[30:-30, 30:-30] = FILM.astype(np.uint16) * 4 + 1500
    if limit is not None:
        film[:15] = limit
    return film


@pytest.mark.parametrize(("value", "limit"), [(4095, None), (0, None), (4000, 4095), (100, 0)])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_affect_the_scaling(
    tmp_path: Path, value: int, limit: int | None, photometric: str
) -> None:
    alone = write_dicom(tmp_path / "alone.dcm", FILM.astype(np.uint16) * 4 + 1500, 16, photometric)
    tags = {"PixelPaddingValue": value} | ({} if limit is None else {"PixelPaddingRangeLimit": limit})
    grey = read_film(str(write_dicom(tmp_path / "a.dcm", padded(value, limit), 16, photometric, **tags))).grey
    assert np.array_equal(grey[30:-30, 30:-30], read_film(str(alone)).grey)
    grey[30:-30, 30:-30] = 0
    assert not grey.any()


def test_a_deep_film_with_a_large_border_keeps_its_grey_levels(tmp_path: Path) -> None:
    border = np.zeros((1200, 1200), np.uint16)
    border[600:608, 600:608] = np.arange(64, dtype=np.uint16).reshape(8, 8) * 100
    grey = read_film(str(write_image(tmp_path / "a.png", border))).grey
    assert len(np.unique(grey)) > 10


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "CT"}, "not a radiograph: Modality CT; remove it"),
        ({"Modality": "MR"}, "not a radiograph: Modality MR"),
        ({"Modality": "US"}, "not a radiograph: Modality US"),
        ({"Modality": "DX", "BodyPartExamined": "HAND"}, "not a chest film: BodyPartExamined HAND"),
        ({"BodyPartExamined": "CHEST", "ViewPosition": "LATERAL"}, "not a frontal film: ViewPosition LATERAL"),
        ({"ViewPosition": "LL"}, "not a frontal film: ViewPosition LL"),
        ({"ViewPosition": "RL"}, "not a frontal film: ViewPosition RL"),
    ],
)
def test_a_dicom_that_is_not_a_frontal_chest_film_is_rejected_before_its_pixels_are_read(
    tmp_path: Path, tags: dict[str, str], reason: str
) -> None:
    path = write_dicom(tmp_path / "a.dcm", FILM, **tags)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(NotAChestFilm, match=rf"^{path}: {reason}") as caught:
        read_film(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "tags",
    [
        {"Modality": "DX", "BodyPartExamined": "CHEST", "ViewPosition": "PA"},
        {"Modality": "CR", "BodyPartExamined": "PORT CHEST", "ViewPosition": "AP"},
        {"Modality": "RG", "BodyPartExamined": "THORAX"},
        {"BodyPartExamined": "CXR"},
        {"Modality": "", "BodyPartExamined": "", "ViewPosition": ""},
        {"ViewPosition": "LLD"},  # lying on the left side, seen from the front
    ],
)
def test_a_frontal_chest_film_and_one_whose_attributes_are_blank_are_read(tmp_path: Path, tags: dict[str, str]) -> None:
    assert similarity(read_film(str(write_dicom(tmp_path / "a.dcm", FILM, **tags))).grey, FILM) > 0.99


@pytest.mark.parametrize("age", ["004Y", "51"])  # RSNA's films have 51
def test_allowed_dicom_attributes_are_kept(tmp_path: Path, age: str) -> None:
    tags = {"PatientSex": "F", "PatientAge": age, "ViewPosition": "AP"}
    film = read_film(str(write_dicom(tmp_path / "a.dcm", FILM, **tags)))
    assert film.header == {"view": "AP", "sex": "F", "age": age}


def test_the_format_is_recognised_by_the_bytes_not_the_name(tmp_path: Path) -> None:
    dicom = write_dicom(tmp_path / "a.dcm", FILM)
    jpeg = write_image(tmp_path / "a.jpg", cv2.resize(FILM, (640, 480)))
    assert similarity(read_film(str(dicom.rename(tmp_path / "no_suffix"))).grey, FILM) > 0.999
    assert decode_scaled(read_source(str(jpeg.rename(tmp_path / "b.png"))), (640, 480), 320).shape == (240, 320)


def test_a_member_of_a_medmnist_file_is_a_film(tmp_path: Path) -> None:
    films = np.stack([phantom(seed, 64, 64)[0] for seed in range(3)])
    path = tmp_path / "set.npz"
    np.savez(path, val_images=films)
    assert np.array_equal(read_film(f"{path}#val/2").grey, films[2])


def test_a_medmnist_file_without_that_split_is_named(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, train_images=np.zeros((1, 64, 64), np.uint8))
    with pytest.raises(CxrError, match=r"set\.npz: no array 'val_images'"):
        read_film(f"{path}#val/0")


def test_a_number_sign_in_a_path_is_not_taken_for_a_medmnist_member(tmp_path: Path) -> None:
    for name in ("#1.png", "set.npz#train/0"):
        write_image(tmp_path / "film.png", FILM)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / "film.png").rename(tmp_path / name)
        assert np.array_equal(read_film(str(tmp_path / name)).grey, FILM)
    (tmp_path / "#2").mkdir()
    np.savez(tmp_path / "#2/set.npz", train_images=FILM[None])
    assert np.array_equal(read_film(f"{tmp_path}/#2/set.npz#train/0").grey, FILM)


def test_a_pipe_is_rejected_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(CxrError, match=r"a\.png: a folder, pipe, socket or device.*; rename or"):
        read_film(str(tmp_path / "a.png"))


def test_a_medmnist_file_with_pickled_objects_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, train_images=np.array([{"a": 1}], dtype=object))
    with pytest.raises(CxrError, match=r"set\.npz: array 'train_images' cannot be read"):
        read_film(f"{path}#train/0")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", b"", "empty file; replace or remove it"),
        ("a.png", b"not an image", "cannot be decoded as an image"),
        ("a.jpeg", cv2.imencode(".jpg", FILM)[1].tobytes()[:12], "cannot be decoded as an image"),
        ("a.dcm", b"not a dicom", "cannot be decoded as DICOM"),
    ],
)
def test_the_error_for_a_damaged_file_names_file_and_problem(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CxrError, match=rf"^{path}: {message}") as caught:
        read_film(str(path))
    assert "\n" not in str(caught.value)


def test_a_dicom_cut_short_is_named(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", FILM)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(CxrError, match=r"a\.dcm: .*\(ValueError, Explicit VR Little Endian\); export"):
        read_film(str(path))


def test_the_error_for_a_damaged_dicom_is_one_printable_line(tmp_path: Path) -> None:
    content = write_dicom(tmp_path / "film.dcm", phantom(0)[0]).read_bytes()
    damaged = content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.1\n\x07008.1.2.1\0")
    assert damaged != content
    with pytest.raises(CxrError) as caught:
        decode(Source("film.dcm", damaged))
    assert str(caught.value).isprintable()


def test_the_error_for_a_colour_dicom_names_the_expected_format(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", np.dstack([FILM] * 3), photometric="RGB")
    with pytest.raises(CxrError, match=r"a\.dcm: RGB with 3 dimensions, .*MONOCHROME1.*; export"):
        read_film(str(path))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(CxrError, match=r"^films/none\.png: cannot be read"):
        read_film("films/none.png")


def test_a_medmnist_file_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, train_images=np.zeros((9, 64, 64), np.uint8))
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(CxrError, match=r"set\.npz: cannot be read as a MedMNIST"):
        read_film(f"{path}#train/0")


@pytest.mark.real
def test_a_real_film_is_inverted_when_its_header_says_monochrome1(real_data: Path) -> None:
    # Both files hold the same stored values (JPEG Baseline); only their PhotometricInterpretation differs.
    first, second = (read_film(str(path)).grey for path in sorted((real_data / "dicom").glob("*.dcm")))
    assert similarity(first, second) == pytest.approx(-1)


@pytest.mark.parametrize("keyword", ["BitsStored", "PhotometricInterpretation", "Rows"])
def test_a_dicom_header_without_what_pixels_need_names_it(tmp_path: Path, keyword: str) -> None:
    path = write_dicom(tmp_path / "a.dcm", phantom()[0])
    dataset = pydicom.dcmread(path)
    delattr(dataset, keyword)
    dataset.save_as(path)
    with pytest.raises(CxrError, match=rf"the header lacks {keyword}\); export it again, or remove it"):
        read_film(str(path))


def test_only_compressed_pixels_are_to_be_exported_uncompressed(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", phantom()[0])
    dataset = pydicom.dcmread(path)
    dataset.PixelData = dataset.PixelData[:100]
    dataset.save_as(path)
    with pytest.raises(CxrError, match=r"Explicit VR Little Endian\); export it again, or remove it"):
        read_film(str(path))
