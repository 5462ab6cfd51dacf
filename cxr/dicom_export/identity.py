"""Who wrote the objects, and their UIDs, dates and times, as functions of film and bundle."""

from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import DA, DT, TM

from cxr.core.files import digest
from cxr.dicom_export.header import FilmHeader
from cxr.predict.own import MANUFACTURER, TAG

LAYOUT = "1"  # of the objects; another number gives other UIDs
RESEARCH = "research use only"
_NUMBERS = {"overlay": 9101, "report": 9102, "lungs": 9103}


@dataclass(frozen=True)
class Identity:
    """Of the objects for one film, bundle and predecessor."""

    film_hash: str
    bundle: str  # version of the bundle
    previous: str  # SOPInstanceUID of the preceding report; empty without one

    def uid(self, role: str) -> str:
        """The UID of one role, such as the series of the report: equal for equal film, bundle and predecessor."""
        return uid_of(LAYOUT, role, self.film_hash, self.bundle, self.previous)

    def series(self, kind: str) -> dict[str, Any]:
        """Arguments of highdicom's objects: series, instance and equipment of an `overlay`, `report` or `lungs`."""
        return {
            "series_instance_uid": self.uid(f"{kind} series"),
            "series_number": _NUMBERS[kind],
            "series_description": f"{TAG} {kind} ({RESEARCH})",
            "sop_instance_uid": self.uid(kind),
            "instance_number": 1,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": MANUFACTURER,
            "device_serial_number": self.bundle,
            "software_versions": f"layout {LAYOUT}, bundle {self.bundle[:12]}",
        }


def uid_of(*parts: str) -> str:
    """A UID below 2.25 (DICOM PS3.5 B.2) from a hash of the parts."""
    return UID(f"2.25.{int(digest(*(part.encode() for part in parts)), 16)}")


def settle(made: Dataset, header: FilmHeader, identity: Identity, kind: str) -> Dataset:
    """Add patient and study to an object, and replace what the library drew at random or took from the clock."""
    made.update(header.subject)
    if kind != "report":
        made.PatientOrientation = header.orientation
    date, time, both = DA(header.made.date()), TM(header.made.time()), DT(header.made)
    dimension = identity.uid(f"{kind} dimension")

    def settle_element(_: Dataset, element: Any) -> None:
        if element.keyword == "DimensionOrganizationUID":
            element.value = dimension
        elif element.keyword == "ContributionDateTime":
            element.value = both
        elif element.keyword in ("InstanceCreationDate", "ContentDate", "DateOfSecondaryCapture"):
            element.value = date
        elif element.keyword in ("InstanceCreationTime", "ContentTime", "TimeOfSecondaryCapture"):
            element.value = time

    made.walk(settle_element)
    return made
