"""The Secondary Capture and the segmentation of one film."""

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from cxr.dicom_export.header import UTF_8, FilmHeader
from cxr.dicom_export.identity import RESEARCH, Identity, settle
from cxr.dicom_export.picture import has_lungs, result_picture
from cxr.films.letterbox import Image
from cxr.predict.own import MANUFACTURER
from cxr.predict.prediction import Prediction

_PLACEHOLDER = ("L", "F")  # highdicom wants an orientation; `settle` writes the film's, or none


def overlay_object(prediction: Prediction, finding: str, header: FilmHeader, identity: Identity) -> Dataset:
    """The overlay and the prediction in words, as a Secondary Capture."""
    capture = hd.sc.SCImage.from_ref_dataset(
        header.reference,
        result_picture(prediction, finding, identity.bundle),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=_PLACEHOLDER,
        specific_character_set=UTF_8,
        **identity.series("overlay"),
    )
    capture.ConversionType = "WSD"
    capture.BodyPartExamined = "CHEST"
    capture.ImageComments = f"{RESEARCH.upper()}. Not for diagnosis or treatment."
    capture.LossyImageCompression = "01" if header.lossy else "00"
    source = Dataset()
    source.ReferencedSOPClassUID = header.reference.SOPClassUID
    source.ReferencedSOPInstanceUID = header.reference.SOPInstanceUID
    capture.SourceImageSequence = [source]
    return settle(capture, header, identity, "overlay")


def lungs_object(prediction: Prediction, header: FilmHeader, identity: Identity) -> Dataset | None:
    """The lung mask in the film's pixels, as a binary segmentation; None where the whole film stands for the lungs."""
    if not has_lungs(prediction):
        return None
    mask: Image = prediction.frame.mask_to_film(prediction.mask)
    algorithm = hd.AlgorithmIdentificationSequence(
        name=f"{MANUFACTURER} lung segmenter",
        family=codes.DCM.ArtificialIntelligence,
        version=identity.bundle,
        source=MANUFACTURER,
    )
    lungs = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="Lungs",
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=codes.SCT.Lung,
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        tracking_uid=identity.uid("lungs tracking"),
        tracking_id="Lungs",
    )
    segmentation = hd.seg.Segmentation(
        source_images=[header.reference],
        pixel_array=(mask > 0).astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=[lungs],
        content_label="LUNGS",
        content_description=f"Lung mask, {RESEARCH}",
        specific_character_set=UTF_8,
        **identity.series("lungs"),
    )
    return settle(segmentation, header, identity, "lungs")
