"""Bundles on the Hugging Face Hub: `hf://owner/name@revision` as a folder in the hub's cache."""

import logging
from pathlib import Path

from cxr.bundle.files import SUMS, verify_sums
from cxr.core.errors import CxrError

log = logging.getLogger(__name__)
HUB = "hf://"
FOLDER = "bundle"  # of a model repository; the bundle's checksums cover this folder and not the model card beside it
MISSING = "the Hugging Face Hub needs the package huggingface_hub; pip install -r requirements-hub.txt"


def bundle_folder(bundle: Path | str) -> Path:
    """The folder of a bundle, given as a path or as hf://owner/name@revision; raises as `fetch_bundle`."""
    return fetch_bundle(bundle) if isinstance(bundle, str) and bundle.startswith(HUB) else Path(bundle)


def repository_of(address: str) -> tuple[str, str | None]:
    """Name (owner/name) and revision of a model repository; raises CxrError for another kind of address."""
    from huggingface_hub import parse_hf_uri
    from huggingface_hub.errors import HfUriError

    try:
        uri = parse_hf_uri(address)
    except HfUriError as error:
        raise CxrError(f"{address}: not a model repository; expected hf://owner/name or hf://owner/name@v1") from error
    if uri.type != "model" or uri.path_in_repo:
        raise CxrError(f"{address}: not a model repository; expected hf://owner/name or hf://owner/name@v1")
    return uri.id, uri.revision


def fetch_bundle(address: str) -> Path:
    """Download a bundle into the hub's cache, unless it is there, and verify its checksums.

    When the hub cannot be reached, the cached copy of that revision is used, with a warning. A revision that is a full
    commit hash is never looked up again.

    Raises:
        CxrError: no such repository or revision, no access, neither hub nor cached copy, or a damaged bundle.
    """
    try:
        import httpx2
        from huggingface_hub import constants, snapshot_download
        from huggingface_hub.errors import (
            FileMetadataError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ImportError as error:
        raise CxrError(f"{address}: {MISSING}") from error
    name, revision = repository_of(address)
    try:
        cached = _unreachable(name, revision)
        where = snapshot_download(name, revision=revision, allow_patterns=f"{FOLDER}/*", local_files_only=cached)
    except RevisionNotFoundError as error:
        raise CxrError(f"{address}: the repository has no such revision; its page on the hub lists them") from error
    except RepositoryNotFoundError as error:
        raise CxrError(
            f"{address}: no such repository at {constants.ENDPOINT}, or no access; correct the name, or `hf auth login`"
        ) from error
    except LocalEntryNotFoundError as error:
        raise CxrError(
            f"{address}: {constants.ENDPOINT} cannot be reached, and {constants.HF_HUB_CACHE} holds no complete copy; "
            "connect once, unset HF_HUB_OFFLINE, or copy the bundle here and give its folder"
        ) from error
    except (httpx2.HTTPError, FileMetadataError) as error:
        raise CxrError(f"{address}: {constants.ENDPOINT}: {' '.join(str(error).split())[:200]}; try again") from error
    snapshot = Path(where)
    folder = snapshot / FOLDER
    if not (folder / SUMS).is_file():
        raise CxrError(f"{address}: no bundle in this repository ({FOLDER}/{SUMS} is missing)")
    try:
        verify_sums(folder)
    except CxrError as error:
        raise CxrError(f"{error}, after deleting {snapshot.parents[1]}") from error
    log.info("%s: commit %s", address, snapshot.name)
    return folder


def _unreachable(name: str, revision: str | None) -> bool:
    """Whether the hub cannot be reached, with a warning that the cache is used; a commit needs no look-up."""
    import httpx2
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.file_download import REGEX_COMMIT_HASH

    if revision and REGEX_COMMIT_HASH.fullmatch(revision):
        return False
    try:
        HfApi().model_info(name, revision=revision, timeout=10)
    except (httpx2.TransportError, OfflineModeIsEnabled):
        log.warning("%s cannot be reached: the copy of %s in the cache may be old", constants.ENDPOINT, name)
        return True
    return False
