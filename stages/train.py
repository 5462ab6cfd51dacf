"""train: data/npz -> models/classifier.ckpt, models/history.csv, models/curves."""

from pathlib import Path

from cxr.core.compute import load_compute
from cxr.core.config import load_section
from cxr.core.stage import run_stage
from cxr.training.config import TrainSection
from cxr.training.train import Places, scratch_root, train


def main() -> None:
    """Train the classifier, or go on with a run that was killed."""
    settings, compute = load_section("train", TrainSection), load_compute()
    if compute.backend == "sagemaker":
        from cxr.launch.handoff import train_on_sagemaker  # the SDK is imported only where it is used

        train_on_sagemaker(settings, compute.sagemaker)
        return
    places = Places(
        npz=[Path("data/npz")],
        checkpoint=Path("models/classifier.ckpt"),
        history=Path("models/history.csv"),
        curves=Path("models/curves"),
        runs=scratch_root() / "runs",
        packs=scratch_root() / "packs",
    )
    train(settings, compute, places)


if __name__ == "__main__":
    run_stage(main)
