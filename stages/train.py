"""train: data/shards -> models/classifier.ckpt, models/history.csv, models/curves."""

from pathlib import Path

from cxr.core.config import load_section
from cxr.models.portable import passive_waiting, use_portable_arithmetic
from cxr.runtime.compute import load_compute
from cxr.runtime.console import run_stage
from cxr.train.config import TrainSection


def main() -> None:
    """Train the classifier, or resume an interrupted run; here or in a SageMaker job, as set in compute.yaml."""
    settings, compute = load_section("train", TrainSection), load_compute()
    # Imported where used: a hand-off needs no torch, a local run no AWS SDK.
    if compute.backend == "sagemaker":
        from cxr.aws.config import load_sagemaker
        from cxr.aws.handoff import train_on_sagemaker

        train_on_sagemaker(settings, load_sagemaker())
        return
    (use_portable_arithmetic if settings.portable else passive_waiting)()  # before torch is loaded
    from cxr.train.train import RunPaths, scratch_root, train

    paths = RunPaths(
        shards=Path("data/shards"),
        checkpoint=Path("models/classifier.ckpt"),
        history=Path("models/history.csv"),
        curves=Path("models/curves"),
        runs=scratch_root() / "runs",
    )
    train(settings, compute, paths)


if __name__ == "__main__":
    run_stage(main)
