"""The DICOM objects that this program writes, which are never predicted again."""

from cxr.core.errors import CxrError
from cxr.films.dicom import is_dicom, parse_dicom
from cxr.films.read import Source

MANUFACTURER = "cxr-pneumonia"
TAG = "cxr-pneumonia"  # first word of SeriesDescription
# Secondary Capture, Comprehensive SR, Segmentation
SOP_CLASSES = ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.66.4")


class OwnObject(CxrError):
    """A DICOM object that this program wrote."""


def reject_own_object(source: Source) -> None:
    """Raise OwnObject for an overlay, report or segmentation of this program.

    It is recognised by its manufacturer or, where that was removed, by its SOP class and the tag of its series. A
    header that cannot be read passes: the decoder reports it.
    """
    if not is_dicom(source.address, source.content):
        return
    try:
        header = parse_dicom(source.content, stop_before_pixels=True)
        maker, kind, series = (
            str(header.get(name, "")) for name in ("Manufacturer", "SOPClassUID", "SeriesDescription")
        )
    except Exception:  # pydicom raises many types on damaged files
        return
    if maker.strip() == MANUFACTURER or (kind in SOP_CLASSES and series.split(" ")[0] == TAG):
        raise OwnObject(f"{source.address}: a result of this program, not a film; remove it")
