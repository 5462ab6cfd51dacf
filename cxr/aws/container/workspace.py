"""The workspace that the container makes from the channels of a job; standard library only."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# Channel of a job -> splits of its films; the copies of validation films belong to the validation channel.
CHANNELS = {"train": ("train",), "val": ("val", "corrupted", "swapped"), "test": ("test",)}
SPLITS = tuple(split for splits in CHANNELS.values() for split in splits)
INDEX = "index.csv"
# Usual names of some parameters, for readers of the console; a job does not read them.
ALIASES = {"batch_size": "batch", "learning_rate": "lr", "use_amp": "amp", "scheduler": "schedule"}
FACTS = ("img_size",)  # of the data
WHEELS = "wheels"  # folder in the code channel
COMPUTE = "CXR_COMPUTE"  # environment variable of a job: its compute.yaml as JSON
# The line that the train stage logs after each epoch; the console's metrics and the progress bar are read from it.
METRICS = {
    "train_loss": r"epoch \d+: train loss ([0-9.eE+-]+)",
    "val_loss": r"epoch \d+: .*validation loss ([0-9.eE+-]+)",
    "val_auroc": r"epoch \d+: .*validation loss [0-9.eE+-]+ AUROC ([0-9.eE+-]+)",
    "corrupted_auroc": r"epoch \d+: .*corrupted AUROC ([0-9.eE+-]+)",
    "swapped_auroc": r"epoch \d+: .*swapped AUROC ([0-9.eE+-]+)",
}
EPOCH_LINE = r"epoch (\d+): train loss"


def prepare(root: Path) -> tuple[Path, dict[str, str]]:
    """Create the workspace of the stage; returns it and the stage's environment.

    It is in /tmp, which AWS documents as scratch space (Amazon SageMaker storage paths).
    """
    scratch = Path(tempfile.mkdtemp(prefix="cxr-"))
    workspace, code = scratch / "work", root / "input/data/code"
    parameters = json.loads((root / "input/config/hyperparameters.json").read_text(encoding="utf-8"))
    resources = json.loads((root / "input/config/resourceconfig.json").read_text(encoding="utf-8"))
    shutil.copytree(code, workspace, ignore=shutil.ignore_patterns(WHEELS))
    _gather([root / "input/data" / channel for channel in CHANNELS], workspace / "data/shards")
    # JSON is YAML; both files are read as such.
    (workspace / "params.yaml").write_text(json.dumps({"train": section(parameters)}), encoding="utf-8")
    compute = {**json.loads(os.environ[COMPUTE]), "nodes": len(resources["hosts"])}
    (workspace / "compute.yaml").write_text(json.dumps(compute), encoding="utf-8")
    packages = _install(sorted((code / WHEELS).glob("*.whl")), scratch / "packages")
    return workspace, {**os.environ, **variables(root, parameters, resources), **packages}


def section(hyperparameters: dict[str, str]) -> dict[str, Any]:
    """The train section from hyperparameters: JSON values, `augment.flip` for a nested one."""
    values: dict[str, Any] = {}
    for shown, text in hyperparameters.items():
        if shown in FACTS or shown in ALIASES:
            continue
        *groups, name = shown.split(".")
        place = values
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = json.loads(text)
    return values


def variables(root: Path, parameters: dict[str, str], resources: dict[str, Any]) -> dict[str, str]:
    """The SM_* variables of AWS's own containers, and those with which Lightning and NCCL find the other instances."""
    hosts, host = resources["hosts"], resources["current_host"]
    return {
        **{f"SM_CHANNEL_{channel.upper()}": str(root / "input/data" / channel) for channel in CHANNELS},
        "SM_MODEL_DIR": str(root / "model"),
        "SM_CHECKPOINT_DIR": str(root / "checkpoints"),
        "SM_OUTPUT_DATA_DIR": str(root / "output/data"),
        "SM_HPS": json.dumps(parameters),
        "SM_HOSTS": json.dumps(hosts),
        "SM_CURRENT_HOST": host,
        "NODE_RANK": str(hosts.index(host)),
        "MASTER_ADDR": hosts[0],
        "MASTER_PORT": "7777",
        # AWS's entry point preloads a gethostname() that returns the container's name in `hosts`, by which NCCL
        # distinguishes machines. Here NCCL_HOSTID sets it, and the network interface spares Gloo name look-ups.
        "NCCL_HOSTID": host,
        "NCCL_SOCKET_IFNAME": resources.get("network_interface_name", "eth0"),
        "GLOO_SOCKET_IFNAME": resources.get("network_interface_name", "eth0"),
    }


def _gather(channels: list[Path], folder: Path) -> None:
    """Link the files of several channels into one folder; files in several channels are equal."""
    folder.mkdir(parents=True)
    for path in (path for channel in channels for path in sorted(channel.rglob("*")) if path.is_file()):
        if not (folder / path.name).is_symlink():
            (folder / path.name).symlink_to(path)


def _install(wheels: list[Path], target: Path) -> dict[str, str]:
    """Install the wheels in addition to the image's packages, without a network."""
    if not wheels:
        return {}
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(target)]
    result = subprocess.run([*command, *map(str, wheels)], capture_output=True, text=True, check=False)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["pip said nothing"]
        sys.exit(f"the packages of the code channel cannot be installed: {lines[-1]}")
    return {"PYTHONPATH": str(target)}
