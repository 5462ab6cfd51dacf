"""A checkout of the repository small enough to train in seconds, handed off or here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from cxr.aws.config import load_sagemaker
from cxr.aws.handoff import train_on_sagemaker
from cxr.core.config import load_section
from cxr.npz.pack import build_shards
from cxr.train.config import TrainSection
from testing.npz import write_npz_set

ROOT = Path(__file__).parents[2]
ROLE = "arn:aws:iam::123456789012:role/cxr-training-job"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/training:1"
OUTS = ("models/classifier.ckpt", "models/history.csv")


class Project:
    """A checkout with a tiny NPZ set and a tiny network."""

    def __init__(self, folder: Path, bucket: str) -> None:
        self.folder = folder
        for name in ("cxr", "stages"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("dvc.yaml", "params.yaml", "compute.yaml", ".dvcignore"):
            shutil.copy(ROOT / name, folder)
        (folder / "models" / "pretrained").mkdir(parents=True)
        shutil.copy(ROOT / "models/lung_encoder.safetensors", folder / "models")  # which dvc.yaml names
        self.set_films()
        self.set_train(backbone="test_resnet", weights="none", batch=4, epochs=2, min_steps=0, warmup=0.0)
        place = {"role": ROLE, "bucket": f"{bucket}/team", "image": IMAGE, "instance_type": "ml.m5.xlarge"}
        self.set_sagemaker(**place, poll_seconds=0.2, wheels="none", max_hours=0.2)

    def set_films(self, side: int = 32) -> None:
        """Films of this size, as NPZ and as shards."""
        npz = write_npz_set(self.folder / "data" / "npz", side=side)
        build_shards(npz, self.folder / "data" / "shards")

    def take_demo(self, root: Path) -> None:
        """The films of `root`'s own pipeline, its network and its wheels, for one epoch."""
        shutil.rmtree(self.folder / "data" / "shards")
        for name in ("data/shards", "wheels"):
            (self.folder / name).symlink_to(root / name, target_is_directory=True)
        shutil.copy(root / "params.yaml", self.folder)
        self.set_train(epochs=1, min_steps=0, warmup=0.0)  # each film once
        self.set_sagemaker(wheels="wheels")

    def set_train(self, **values: Any) -> None:
        """Change parameters of the train section."""
        self._set("params.yaml", "train", values)

    def set_sagemaker(self, **values: Any) -> None:
        """Change settings of compute.yaml's sagemaker section."""
        self._set("compute.yaml", "sagemaker", values)

    def set_backend(self, backend: str) -> None:
        """local or sagemaker."""
        self._set("compute.yaml", None, {"backend": backend})

    def stand_in(self, source: str) -> None:
        """Put a stage in the place of the real one: for what does not depend on training, and is quicker without."""
        for package in ("core", "models", "npz", "train"):
            shutil.rmtree(self.folder / "cxr" / package)
        (self.folder / "stages" / "train.py").write_text(source)

    def outs(self) -> dict[str, bytes]:
        """Name -> content."""
        return {name: (self.folder / name).read_bytes() for name in OUTS}

    def hand_off(self) -> None:
        """What the train stage does with `backend: sagemaker`, in this process."""
        train = load_section("train", TrainSection, self.folder / "params.yaml")
        train_on_sagemaker(train, load_sagemaker(self.folder / "compute.yaml"), self.folder)

    def train_here(self) -> None:
        """The train stage on this machine, with as many threads as the job has."""
        self.set_backend("local")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, "-m", "stages.train"], cwd=self.folder, env=environment, check=True)

    def _set(self, file: str, section: str | None, values: dict[str, Any]) -> None:
        document = yaml.load((self.folder / file).read_text(), yaml.CSafeLoader)
        (document[section] if section else document).update(values)
        (self.folder / file).write_text(yaml.dump(document, Dumper=yaml.CSafeDumper))
