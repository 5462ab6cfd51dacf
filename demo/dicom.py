"""A film as a DICOM file, with the tags of a clinical file and a statement that it is synthetic."""

import io
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from demo.anatomy import Anatomy
from demo.canvas import Plane

STATEMENT = "Synthetic film, drawn by a program. No patient, no diagnosis."


@dataclass(frozen=True)
class Encoding:
    """How a DICOM file stores its pixels."""

    photometric: str  # MONOCHROME1 shows low values bright
    bits: int


ENCODINGS = (Encoding("MONOCHROME2", 8), Encoding("MONOCHROME1", 12), Encoding("MONOCHROME2", 12))


def encode_dicom(film: Plane, encoding: Encoding, stem: str, patient_id: str, anatomy: Anatomy, view: str) -> bytes:
    """Encode a film (height, width) of 0..1, bright bone on dark air; all identifiers are derived from `stem`."""
    top = 2**encoding.bits - 1
    values = np.rint(film * np.float32(top))
    if encoding.photometric == "MONOCHROME1":
        values = top - values
    dataset = Dataset()
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["demo film", stem])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["demo study", stem])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["demo series", stem])
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", view
    dataset.PatientID, dataset.PatientName = patient_id, f"SYNTHETIC^{patient_id}"
    dataset.PatientSex, dataset.PatientAge = anatomy.sex, f"{anatomy.age:03d}Y"
    dataset.StudyDate, dataset.StudyTime, dataset.InstanceNumber = "20000101", "120000", 1
    dataset.Manufacturer, dataset.StudyDescription, dataset.ImageComments = "cxr.demo", "SYNTHETIC", STATEMENT
    dataset.BurnedInAnnotation, dataset.ImageType = "NO", ["DERIVED", "PRIMARY"]
    dataset.Rows, dataset.Columns = film.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, encoding.photometric
    dataset.PresentationLUTShape = "INVERSE" if encoding.photometric == "MONOCHROME1" else "IDENTITY"
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.BitsAllocated, dataset.BitsStored = (8 if encoding.bits == 8 else 16), encoding.bits
    dataset.HighBit, dataset.PixelRepresentation = encoding.bits - 1, 0
    pixels = values.astype(np.uint8 if encoding.bits == 8 else "<u2").tobytes()
    dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
    dataset["PixelData"].VR = "OB" if encoding.bits == 8 else "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
