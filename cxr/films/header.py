"""Values of DICOM attributes: those that a frontal chest film may have, and those that may be repeated."""

# `OT` (other) is what converters write.
MODALITIES = ("CR", "DX", "RG", "PX", "OT")
BODY_PARTS = ("CHEST", "CXR", "THORA", "TORAX", "TÓRAX", "LUNG")  # as a part of the word: CHEST_PORT, THORAX
LATERAL = ("LATERAL", "LAT", "LL", "RL", "LLAT", "RLAT")
VIEWS = ("AP", "PA", *LATERAL, "LLD", "RLD", "LLO", "RLO", "PORTABLE")  # values of ViewPosition that are kept
# Further values that a message may repeat; other text may identify a person.
OTHER_MODALITIES = (
    *("CT", "MR", "US", "NM", "PT", "XA", "RF", "MG", "IO", "OP", "ES", "SC", "SR", "PR", "KO", "SEG", "DOC"),
)
OTHER_PARTS = (
    *("ABDOMEN", "ANKLE", "ARM", "BREAST", "CSPINE", "ELBOW", "EXTREMITY", "FEMUR", "FINGER", "FOOT", "FOREARM"),
    *("HAND", "HEAD", "HEART", "HIP", "HUMERUS", "JAW", "KNEE", "LEG", "LSPINE", "NECK", "PELVIS", "RIBS", "SHOULDER"),
    *("SKULL", "SPINE", "STERNUM", "TSPINE", "WRIST"),
)


def not_a_chest_film(modality: str, body_part: str, view: str) -> str:
    """Why a file with these DICOM attributes is not a frontal chest film, with the remedy; empty if it may be one.

    Empty attributes are ignored: many archives blank them.
    """
    modality, body_part, view = (value.strip().upper() for value in (modality, body_part, view))
    if modality and modality not in MODALITIES:
        return f"not a radiograph: Modality {_known(modality, OTHER_MODALITIES)}; remove it"
    if body_part and not any(word in body_part for word in BODY_PARTS):
        return f"not a chest film: BodyPartExamined {_known(body_part, OTHER_PARTS)}; remove it"
    if view in LATERAL:
        return f"not a frontal film: ViewPosition {view}; remove it"
    return ""


def _known(value: str, known: tuple[str, ...]) -> str:
    return value if value in known else "has another value"
