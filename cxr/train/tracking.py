"""Outputs of the history: the log, a CSV, DVCLive curves, and MLflow if MLFLOW_TRACKING_URI is set."""

import logging
import os
import urllib.request
from pathlib import Path
from typing import Any

import pandas as pd
from dvclive.live import Live
from scmrepo.exceptions import SCMError

from cxr.core.errors import CxrError
from cxr.core.files import write_csv
from cxr.train.recipe import SCORED, Row

log = logging.getLogger(__name__)
SERVER_SECONDS = 3.0
EXPERIMENT = "cxr-pneumonia"


def log_epoch(history: list[Row]) -> None:
    """Log the last epoch; `cxr.aws.container.workspace.METRICS` parses this line."""
    row = history[-1]
    copies = "".join(f", {name} AUROC {row[f'{name}_auroc']:.4f}" for name in SCORED[1:] if f"{name}_auroc" in row)
    plain = "epoch %d: train loss %.4f, validation loss %.4f AUROC %.4f%s"
    log.info(plain, *(row[name] for name in ("epoch", "train_loss", "val_loss", "val_auroc")), copies)


class CurveFiles:
    """`history.csv`, one row per epoch, and a folder of DVCLive curves; both are complete after each epoch."""

    def __init__(self, history: Path, curves: Path | None) -> None:
        self.history = history
        self.live: Any = _live(curves) if curves else None
        self.logged = 0

    def log(self, rows: list[Row]) -> None:
        """Write the new epochs; a resumed run writes its earlier epochs again."""
        write_csv(self.history, pd.DataFrame(rows))
        for row in rows[self.logged :] if self.live else ():
            self._log_live(row)
        self.logged = len(rows)

    def _log_live(self, row: Row) -> None:
        assert self.live is not None
        for name, value in row.items():
            if name != "epoch":
                self.live.log_metric(name.replace("_", "/", 1), value, plot=True)
        self.live.next_step()

    def close(self) -> None:
        """Write the summary."""
        if self.live:
            self.live.end()


def _live(curves: Path) -> Any:
    try:
        # The defaults would edit dvc.yaml, write a report and create another experiment.
        return Live(str(curves), dvcyaml=None, save_dvc_exp=False, report=None)
    except SCMError as error:
        raise CxrError(f"{curves}: DVCLive: {error}; make a first commit, then run again") from error


class MLflowRun:
    """One MLflow run, continued after a resume. After the first error it logs a warning and sends nothing more."""

    def __init__(self, folder: Path, params: dict[str, Any], tags: dict[str, str]) -> None:
        self.run_file = folder / "mlflow_run"
        self.client: Any = None
        self.run_id = ""
        self.logged = 0
        uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        if not uri:
            return
        try:
            self._start(uri, params, tags)
        except Exception as error:
            self._give_up(error)

    def _start(self, uri: str, params: dict[str, Any], tags: dict[str, str]) -> None:
        if uri.startswith("http"):
            # One request with a short timeout; MLflow itself would retry for minutes.
            urllib.request.urlopen(uri.rstrip("/") + "/health", timeout=SERVER_SECONDS).close()
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        from mlflow import MlflowClient

        client = MlflowClient(uri)
        if self.run_file.is_file():
            self.run_id = self.run_file.read_text(encoding="utf-8")
            self.logged = len(client.get_metric_history(self.run_id, "train_loss"))
        else:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
            found = client.get_experiment_by_name(name)
            experiment = found.experiment_id if found else client.create_experiment(name)
            self.run_id = client.create_run(experiment, tags=tags).info.run_id
            for key, value in params.items():
                client.log_param(self.run_id, key, value)
            self.run_file.write_text(self.run_id, encoding="utf-8")
        self.client = client

    def log(self, rows: list[Row]) -> None:
        """Send the epochs that the server does not have yet."""
        if self.client is None:
            return
        try:
            for row in rows[self.logged :]:
                for name, value in row.items():
                    self.client.log_metric(self.run_id, name, value, step=int(row["epoch"]))
            self.logged = len(rows)
        except Exception as error:
            self._give_up(error)

    def close(self, files: list[Path]) -> None:
        """Upload the artifacts and mark the run as finished."""
        if self.client is None:
            return
        try:
            for path in files:
                self.client.log_artifact(self.run_id, str(path))
            self.client.set_terminated(self.run_id)
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        log.warning("MLflow: %s; training continues without it", " ".join(f"{type(error).__name__}: {error}".split()))
        self.client = None
