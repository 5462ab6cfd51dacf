"""Earlier reports that the new ones name as their predecessors."""

from pathlib import Path

from pydicom.dataset import Dataset

from cxr.core.errors import CxrError
from cxr.films.dicom import parse_dicom
from cxr.films.find import is_dicom_file

REPORTS = "1.2.840.10008.5.1.4.1.1.88."  # prefix of the SOP classes of structured reports


class Previous:
    """Reports by the film that they are about."""

    def __init__(self, reports: dict[str, tuple[Path, Dataset]]) -> None:
        self._reports = reports
        self._used: set[str] = set()

    @classmethod
    def load(cls, path: Path | None) -> "Previous":
        """The report in a file, or all reports in a folder; none without a path.

        Raises:
            CxrError: there is no report, or several are about one film.
        """
        if path is None:
            return cls({})
        files = sorted(one for one in path.rglob("*") if is_dicom_file(one)) if path.is_dir() else [path]
        reports: dict[str, tuple[Path, Dataset]] = {}
        for file in files:
            report = _report(file)
            if report is None:
                continue
            for film in _films(report):
                if film in reports:
                    raise CxrError(f"{file}: about the same film as {reports[film][0]}; give one report per film")
                reports[film] = (file, report)
        if not reports:
            raise CxrError(
                f"{path}: no structured report of a film; give the .sr.dcm of an earlier run, or their folder"
            )
        return cls(reports)

    def of(self, film: str) -> Dataset | None:
        """The report about a film, by the film's SOPInstanceUID."""
        if film not in self._reports:
            return None
        self._used.add(film)
        return self._reports[film][1]

    def check_used(self) -> None:
        """Raise CxrError if a report is about no film of the run."""
        unused = sorted(str(self._reports[film][0]) for film in self._reports.keys() - self._used)
        if unused:
            raise CxrError(f"{unused[0]}: --previous is about no film of this run; give the report of one of its films")


def _report(file: Path) -> Dataset | None:
    try:
        found: Dataset = parse_dicom(file.read_bytes(), stop_before_pixels=True)
        return found if str(found.SOPClassUID).startswith(REPORTS) else None
    except OSError as error:
        raise CxrError(f"{file}: cannot be read ({error.strerror}); give an existing report") from error
    except Exception:  # pydicom raises many types on damaged files
        return None


def _films(report: Dataset) -> list[str]:
    """The films that a report cites as its evidence."""
    return [
        str(instance.ReferencedSOPInstanceUID)
        for study in report.get("CurrentRequestedProcedureEvidenceSequence") or ()
        for series in study.get("ReferencedSeriesSequence") or ()
        for instance in series.get("ReferencedSOPSequence") or ()
    ]
