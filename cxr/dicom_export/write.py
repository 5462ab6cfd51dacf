"""Writing the objects of each DICOM film of a run."""

import io
import logging
from pathlib import Path

from pydicom.dataset import Dataset

from cxr.core.errors import CxrError
from cxr.core.files import digest, write_bytes
from cxr.dicom_export.header import FilmHeader, read_header
from cxr.dicom_export.identity import Identity
from cxr.dicom_export.objects import lungs_object, overlay_object
from cxr.dicom_export.previous import Previous
from cxr.dicom_export.report import report_object
from cxr.films.dicom import is_dicom
from cxr.films.read import Source
from cxr.predict.batch import Outcome, overlay_name

log = logging.getLogger(__name__)
logging.getLogger("highdicom").setLevel(logging.CRITICAL + 1)  # it quotes UIDs and names
SUFFIXES = {"overlay": ".sc.dcm", "report": ".sr.dcm", "lungs": ".seg.dcm"}


class DicomWriter:
    """Writes Secondary Capture, report and segmentation of each DICOM film into a folder."""

    def __init__(self, folder: Path, classes: tuple[str, ...], bundle: str, previous: Previous) -> None:
        self.folder = folder
        self.classes = classes
        self.bundle = bundle
        self.previous = previous
        self.names: dict[str, str] = {}  # of the files, without suffix: the film
        self.without = 0  # films that are not DICOM, and objects that are not films
        self.unplaced: list[str] = []  # one line per film that no object can refer to

    def add(self, outcome: Outcome) -> None:
        """Write the objects of one film, all or none; a film that is not DICOM has none."""
        try:
            source = outcome.film.read()
        except CxrError:  # the table has the reason
            self.without += 1
            return
        header = self._header(source, isinstance(outcome.answer, str))
        if header is None:
            self.without += 1
            return
        if not isinstance(outcome.answer, str) and outcome.answer.film_hash != source.film_hash:
            raise CxrError(f"{source.address}: changed while it was being predicted; run again")
        try:
            objects = self._objects(outcome, source, header)
        except Exception as error:  # highdicom raises many types; its text may quote the header
            self.unplaced.append(
                f"{source.address}: no DICOM objects can be made of its header ({type(error).__name__}); export the "
                "film again, or leave it out of --dicom-out"
            )
            return
        name = overlay_name(source.address)
        if self.names.setdefault(name, source.address) != source.address:  # a/b.dcm and a_b.dcm
            name = f"{name}-{digest(source.address.encode())[:8]}"
            self.names[name] = source.address
        for kind, suffix in SUFFIXES.items():
            path = self.folder / f"{name}{suffix}"
            if kind in objects:
                write_bytes(path, objects[kind])
            else:
                path.unlink(missing_ok=True)  # of an earlier bundle

    def finish(self) -> None:
        """Log the number of films; raises CxrError with one line per film that no object can refer to."""
        log.info("%s: DICOM objects of %d films; none for %d others", self.folder, len(self.names), self.without)
        if self.unplaced:
            raise CxrError("\n".join(self.unplaced))
        self.previous.check_used()

    def _header(self, source: Source, rejected: bool) -> FilmHeader | None:
        if not is_dicom(source.address, source.content):
            return None
        try:
            header = read_header(source)
            return None if rejected and not header.may_be_film else header
        except CxrError as error:
            self.unplaced.append(str(error))
        except Exception:  # pydicom raises many types on damaged files; the table has the reason
            pass
        return None

    def _objects(self, outcome: Outcome, source: Source, header: FilmHeader) -> dict[str, bytes]:
        before = self.previous.of(header.reference.SOPInstanceUID)
        identity = Identity(source.film_hash, self.bundle, "" if before is None else str(before.SOPInstanceUID))
        answer = outcome.answer
        if isinstance(answer, str):
            reason = answer.removeprefix(f"{source.address}: ")
            return {"report": _encoded(report_object(reason, header, identity, before))}
        finding = self.classes[1] if len(self.classes) == 2 else answer.decision
        objects = {
            "overlay": overlay_object(answer, finding, header, identity),
            "report": report_object(answer, header, identity, before),
            "lungs": lungs_object(answer, header, identity),
        }
        return {kind: _encoded(made) for kind, made in objects.items() if made is not None}


def _encoded(made: Dataset) -> bytes:
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
