"""A bundle as a model repository on the Hugging Face Hub: its files, written to a folder and uploaded in one commit.

README.md, the card with the hub's metadata; bundle/, the bundle as it is; model.safetensors, the classifier's weights
where the checkpoint is at hand; SHA256SUMS of all.
"""

import json
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr.bundle.files import SUMS, write_sums
from cxr.core.errors import CxrError
from cxr.core.files import write_text
from cxr.predict.hub import FOLDER, HUB, MISSING, repository_of
from cxr.publish.facts import BundleFacts, Metric

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

log = logging.getLogger(__name__)
CHECKPOINT = Path("models/classifier.ckpt")
WEIGHTS, README = "model.safetensors", "README.md"
OURS = (f"{FOLDER}/", WEIGHTS, SUMS)  # of a repository; a file here that the bundle lacks is deleted
METRICS = {"auroc": "roc_auc", "macro_auroc": "roc_auc", "sensitivity": "recall", "macro_f1": "f1"}  # the hub's names
TAGS = ["chest-x-ray", "radiology", "medical", "pneumonia", "onnx", "research-use-only"]
TEXT = """
# {title}

**Research use only.** Not a medical device. Do not use it to diagnose or treat anyone.

```python
from cxr.predict.predictor import Predictor  # pip install -r requirements-serve.txt -r requirements-hub.txt

prediction = Predictor.load("{address}")("film.dcm")
prediction.probability, prediction.decision, [flag.text for flag in prediction.flags]
```

`python -m cxr predict folder --bundle {address}` writes a table. `bundle/` contains the networks (ONNX), all settings
(`bundle/inference_config.yaml`) and the terms of each part (`bundle/licences/`). Bundle `{version}`.

{card}
"""


def write_repository(folder: Path, facts: BundleFacts, name: str, checkpoint: Path = CHECKPOINT) -> None:
    """Write the files of the model repository owner/name into an empty folder.

    Raises:
        CxrError: the package huggingface_hub is missing.
    """
    shutil.copytree(facts.folder, folder / FOLDER, ignore=shutil.ignore_patterns(".*", "__*"))
    _write_weights(folder / WEIGHTS, facts, checkpoint)
    write_text(folder / README, _readme(facts, name))
    write_sums(folder)


def _write_weights(path: Path, facts: BundleFacts, checkpoint: Path) -> None:
    """Write the classifier's tensors, if the checkpoint is at hand and of this bundle."""
    if not checkpoint.is_file():
        log.info("%s: not here; the repository gets no %s", checkpoint, WEIGHTS)
        return
    from safetensors.torch import save_file

    from cxr.models.classifier import load_classifier

    classifier = load_classifier(checkpoint)
    if classifier.fingerprint != facts.classifier:
        log.info("%s: another classifier than the bundle's; the repository gets no %s", checkpoint, WEIGHTS)
        return
    tensors = {name: tensor.contiguous() for name, tensor in classifier.state_dict().items()}
    save_file(tensors, path, {"facts": json.dumps(classifier.facts)})


def _readme(facts: BundleFacts, name: str) -> str:
    try:
        from huggingface_hub import ModelCard, ModelCardData
    except ImportError as error:
        raise CxrError(f"{HUB}{name}: {MISSING}") from error
    data = ModelCardData(
        license="mit",
        library_name="onnxruntime",
        pipeline_tag="image-classification",
        tags=TAGS,
        datasets=[_slug(facts.population)] if facts.config.population.description.get("source") else None,
        metrics=sorted({_metric_type(metric) for metric in facts.metrics}),
        model_name=name.partition("/")[2],
        eval_results=[_result(facts, metric) for metric in facts.metrics],
    )
    body = facts.card.partition("\n\n")[2]  # without its title
    body = body.partition("\n\n")[2] if body.startswith("**Research use only") else body  # TEXT says so
    title = f"{' or '.join(facts.config.classes).capitalize()} on frontal chest films"
    text = TEXT.format(title=title, address=f"{HUB}{name}", version=facts.version[:12], card=body.strip())
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n{text}"))


def _result(facts: BundleFacts, metric: Metric) -> "EvalResult":
    from huggingface_hub import EvalResult

    interval = "" if metric.low is None else f" (95 % CI {metric.low:g} to {metric.high:g})"
    return EvalResult(
        task_type="image-classification",
        dataset_type=_slug(facts.population),
        dataset_name=f"{facts.population}: {facts.films} {facts.split} films",
        dataset_split=facts.split,
        metric_type=_metric_type(metric),
        metric_name=f"{metric.name.replace('_', ' ')}{interval}",
        metric_value=metric.value,
    )


def _metric_type(metric: Metric) -> str:
    return METRICS.get(metric.name, metric.name)


def _slug(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


def publish_to_hub(folder: Path, address: str, message: str, private: bool) -> str:
    """Upload a repository's files in one commit of those that changed; returns the address of that commit.

    Args:
        folder: as `write_repository` made it.
        address: hf://owner/name; the repository is created if it does not exist.
        message: of the commit.
        private: visible to its owner only; a repository that is public already is an error.

    Raises:
        CxrError: no token, no write access, or the hub cannot be reached.
    """
    name = target(address)
    with _hub_errors(address):
        from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, get_token

        if get_token() is None:
            raise CxrError(f"{address}: no token for the Hugging Face Hub; `hf auth login`, or set HF_TOKEN")
        api = HfApi(library_name="cxr-pneumonia")
        api.create_repo(name, private=private or None, exist_ok=True)
        before = api.model_info(name)
        if private and not before.private:
            raise CxrError(f"{address}: the repository is public; make it private in its settings, or omit --private")
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        stale = [file for file in api.list_repo_files(name) if file.startswith(OURS) and file not in files]
        operations: list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete] = [
            *(CommitOperationDelete(file) for file in stale),
            *(CommitOperationAdd(file, folder / file) for file in files),
        ]
        commit = api.create_commit(name, operations, commit_message=message, parent_commit=before.sha)
        return f"{HUB}{name}@{commit.oid}"


def target(address: str) -> str:
    """owner/name of a repository to write; raises CxrError for another kind of address or one with a revision."""
    try:
        name, revision = repository_of(address)
    except ImportError as error:
        raise CxrError(f"{address}: {MISSING}") from error
    if revision:
        raise CxrError(f"{address}: a bundle is published to the main branch; omit @{revision}")
    return name


@contextmanager
def _hub_errors(address: str) -> Iterator[None]:
    try:
        import httpx2
        from huggingface_hub import constants
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    except ImportError as error:
        raise CxrError(f"{address}: {MISSING}") from error
    try:
        yield
    except HfHubHTTPError as error:
        code: Any = error.response.status_code
        remedy = "the token needs write access to it" if code in (401, 403) else "publish again"
        why = " ".join(str(error.server_message or error).split())[:200]
        raise CxrError(f"{address}: {constants.ENDPOINT} answers {code} ({why}); {remedy}") from error
    except (httpx2.TransportError, OfflineModeIsEnabled) as error:
        raise CxrError(
            f"{address}: {constants.ENDPOINT} cannot be reached ({type(error).__name__}); check the network, "
            "HF_ENDPOINT and HF_HUB_OFFLINE, then publish again"
        ) from error
