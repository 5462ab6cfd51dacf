"""A bundle in MLflow's model registry: one logged model with metrics and data, and one version that names it."""

import contextlib
import logging
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cxr.core.code import ROOT
from cxr.core.errors import CxrError
from cxr.publish.facts import BundleFacts, data_digests

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)
SERVER_SECONDS = 3.0
EXPERIMENT = "cxr-pneumonia"  # as `cxr.train.tracking` names it; MLFLOW_EXPERIMENT_NAME is another name
BUNDLE, CLASSIFIER = "cxr_bundle", "cxr_classifier"  # tags: hash of the bundle, fingerprint of the weights
REQUIREMENTS = ("requirements-serve.txt", "requirements-mlflow.txt")
NO_MLFLOW = "MLflow needs the packages of requirements-mlflow.txt; pip install -r requirements-mlflow.txt"
NO_SERVER = "MLFLOW_TRACKING_URI is not set; name the MLflow server in it, such as http://127.0.0.1:5000"


def publish_to_mlflow(facts: BundleFacts, name: str) -> str:
    """Log a bundle and register it under a name; returns the address of the version.

    A bundle that is registered already is left as it is. One that was logged before is only registered. When logging
    fails, what was logged is deleted.

    Raises:
        CxrError: MLFLOW_TRACKING_URI is not set, the server does not answer, or it rejects the request.
    """
    if not re.fullmatch(r"[\w-]+", name):
        raise CxrError(f"mlflow:{name}: not a model name; use letters, digits, - and _")
    with _mlflow_errors():
        client = _client()
        versions = client.search_model_versions(f"name = '{name}'")
        known = [version.version for version in versions if version.tags.get(BUNDLE) == facts.version]
        if known:
            log.info("bundle %s is registered already; nothing is logged", facts.version[:12])
            return f"models:/{name}/{known[0]}"
        experiment = _experiment(client)
        model = _logged_before(client, experiment, facts) or _log(client, experiment, facts, name)
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        version = client.create_model_version(
            name, f"models:/{model.model_id}", model.source_run_id, {BUNDLE: facts.version}, model_id=model.model_id
        )
        return f"models:/{name}/{version.version}"


@contextlib.contextmanager
def _mlflow_errors() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise CxrError(NO_MLFLOW) from error
    except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
        uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        why = getattr(error, "reason", error)
        raise CxrError(f"{uri}: no MLflow server ({why}); start it, or correct MLFLOW_TRACKING_URI") from error
    except Exception as error:
        from mlflow.exceptions import MlflowException

        if not isinstance(error, MlflowException):
            raise
        uri = os.environ["MLFLOW_TRACKING_URI"]
        raise CxrError(f"{uri}: {' '.join(error.message.split())[:200]}; correct it, then publish again") from error


def _client() -> "MlflowClient":
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        raise CxrError(NO_SERVER)
    if uri.startswith("http"):  # one request with a short limit; MLflow itself would retry for minutes
        urllib.request.urlopen(uri.rstrip("/") + "/health", timeout=SERVER_SECONDS).close()
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow import MlflowClient

    # SageMaker's plugin, installed for training jobs, warns of each request to another server than SageMaker's.
    logging.getLogger("mlflow.tracking.request_header.registry").setLevel(logging.ERROR)
    return MlflowClient(uri)


def _experiment(client: "MlflowClient") -> str:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    found = client.get_experiment_by_name(name)
    return found.experiment_id if found else client.create_experiment(name)


def _logged_before(client: "MlflowClient", experiment: str, facts: BundleFacts) -> Any:
    """The complete logged model of the same bundle, or None."""
    found = client.search_logged_models([experiment], f"tags.{BUNDLE} = '{facts.version}'")
    return next((model for model in found if model.status == "READY"), None)


def training_run(client: "MlflowClient", experiment: str, facts: BundleFacts) -> str:
    """Id of the newest finished run that trained on the same data with the same settings; empty without one."""
    settings = dict(facts.provenance["train"])
    augmentation = settings.pop("augment", {})
    expected = {**settings, **{f"augment.{name}": value for name, value in augmentation.items()}}
    params = {name: str(value) for name, value in expected.items()}
    data = facts.provenance["training"].get("data", "")
    runs = client.search_runs([experiment], f"tags.data = '{data}' and attributes.status = 'FINISHED'")
    found = [run.info.run_id for run in runs if run.data.params == params]
    if len(found) > 1:
        log.warning("%d runs trained with these data and settings; the newest is linked", len(found))
    return found[0] if found else ""


def _log(client: "MlflowClient", experiment: str, facts: BundleFacts, name: str) -> Any:
    """Log the model in a run of its own, with metrics and data; on failure delete both."""
    import mlflow

    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    trained = training_run(client, experiment, facts)
    tags = {BUNDLE: facts.version, CLASSIFIER: facts.classifier}
    parent = {"mlflow.parentRunId": trained} if trained else {}  # shown below the training run
    run = client.create_run(experiment, tags={**tags, **parent}, run_name=f"bundle {facts.version[:12]}")
    model = None
    try:
        with mlflow.start_run(run.info.run_id):
            model = mlflow.initialize_logged_model(
                name, trained or run.info.run_id, tags, _params(facts), "classifier", experiment
            )
            _log_model(name, model.model_id, facts)
            _log_data_and_metrics(model.model_id, facts)
        return client.get_logged_model(model.model_id)
    except BaseException:
        with contextlib.suppress(Exception):  # the first error counts
            if model is not None:
                client.delete_logged_model(model.model_id)
            client.delete_run(run.info.run_id)
        raise


def _params(facts: BundleFacts) -> dict[str, str]:
    point = facts.config.operating_point
    values = {
        "classes": ", ".join(facts.config.classes),
        "backbone": facts.config.backbone,
        "image_px": facts.config.image_px,
        "threshold": point.threshold,
        "temperature": point.temperature,
        "population": facts.population,
    }
    return {name: str(value) for name, value in values.items()}


def _log_model(name: str, model_id: str, facts: BundleFacts) -> None:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    from cxr.predict.prediction import columns
    from cxr.publish.model import COUNTS, TEXTS

    def kind(column: str) -> DataType:
        return DataType.string if column in TEXTS else DataType.long if column in COUNTS else DataType.double

    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(kind(name), name, required=name in TEXTS) for name in columns(facts.config.classes)
    ]
    mlflow.pyfunc.log_model(
        name=name,
        model_id=model_id,
        loader_module="cxr.publish.model",
        data_path=str(facts.folder),
        code_paths=[str(ROOT / "cxr")],
        pip_requirements=_requirements(),
        signature=ModelSignature(Schema([ColSpec(DataType.string)]), Schema(outputs)),
        input_example=["film.dcm"],
    )


def _requirements() -> list[str]:
    lines = [line for name in REQUIREMENTS for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    return sorted({line for line in lines if line and not line.startswith((" ", "#", "-"))})


def _log_data_and_metrics(model_id: str, facts: BundleFacts) -> None:
    import mlflow
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    source = CodeDatasetSource({"population": facts.population})
    for name, digest in data_digests(facts).items():
        films = {split: str(sum(classes.values())) for split, classes in facts.provenance["films"].items()}
        dataset = MetaDataset(source, name, digest)  # type: ignore[abstract]
        mlflow.log_input(dataset, context="training", tags=films)
    values: dict[str, float] = {}
    for metric in facts.metrics:
        bounds = {"": metric.value, "_low": metric.low, "_high": metric.high}
        values |= {f"{facts.split}_{metric.name}{end}": value for end, value in bounds.items() if value is not None}
    mlflow.log_metrics(values, model_id=model_id)
