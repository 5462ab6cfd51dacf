"""What comes from outside is data: a file that holds code, or leads elsewhere, is refused, and nothing is run."""

import hashlib
import io
import json
import pickle
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from cxr.aws.container import entry
from cxr.aws.container.checkpoints import Checkpoints, write
from cxr.aws.handoff import unpack_outs
from cxr.bundle.config import read_config
from cxr.bundle.network import FEATURES, INPUT, LOGITS, load_network
from cxr.bundle.reference import read_reference
from cxr.core.config import load_section, read_yaml
from cxr.core.errors import CxrError
from cxr.films.medmnist import medmnist_array
from cxr.films.read import read_film
from cxr.models.classifier import load_classifier
from cxr.models.weights import read_tensors
from cxr.npz.films import read_npz
from cxr.npz.shards import FACTS, TABLE, open_shards
from cxr.runtime.compute import load_compute
from cxr.segment.segmenter import load_segmenter
from cxr.train.config import TrainSection
from cxr.train.state import RunState
from segmenter.network import load_network as load_lung_network
from segmenter.train import resumable
from tests.settings import section

RAN = "ran"  # the file that malicious content would write into the current folder


class Evil:
    """Unpickling it writes a file."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, (f"open({RAN!r}, 'w').close()",))


@pytest.fixture(autouse=True)
def nothing_runs(workspace: Path) -> Any:
    """In every test of this page."""
    yield
    assert not (workspace / RAN).exists()
    assert not (workspace.parent / "evil").exists()


def refused(load: Callable[[], object], message: str) -> None:
    with pytest.raises(CxrError, match=message) as caught:
        load()
    assert len(str(caught.value).splitlines()) == 1


def pickles(folder: Path, name: str) -> list[Path]:
    """A plain pickle, and one inside of the archive that torch writes."""
    (folder / f"plain-{name}").write_bytes(pickle.dumps({"state_dict": Evil()}, protocol=2))
    torch.save({"kind": "cxr-classifier-1", "state_dict": Evil()}, folder / f"zip-{name}")
    return [folder / f"plain-{name}", folder / f"zip-{name}"]


def test_the_pickles_of_this_page_do_run_where_pickles_are_run(workspace: Path) -> None:
    """Otherwise the tests below could not fail."""
    pickle.loads(pickle.dumps(Evil()))  # noqa: S301
    assert (workspace / RAN).exists()
    (workspace / RAN).unlink()


def test_a_pickle_as_a_classifier(workspace: Path) -> None:
    for path in pickles(workspace, "classifier.ckpt"):
        refused(lambda path=path: load_classifier(path), "not a readable checkpoint")  # type: ignore[misc]


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin", ".safetensors"])
def test_a_pickle_as_pretrained_weights(workspace: Path, suffix: str) -> None:
    for path in pickles(workspace, f"weights{suffix}"):
        refused(lambda path=path: read_tensors(path), "never executed")  # type: ignore[misc]


def test_a_pickle_as_a_lung_network(workspace: Path) -> None:
    for path in [*pickles(workspace, "lung_net.pt"), workspace / "missing.pt"]:
        refused(lambda path=path: load_lung_network(path), "no weights of the lung network")  # type: ignore[misc]


def test_a_pickle_as_the_state_of_a_lung_network_in_training(workspace: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not any(resumable(path) for path in pickles(workspace, "last.ckpt"))
    assert len(re.findall(r"last\.ckpt: cannot be read \(\w+\); training starts over", caplog.text)) == 2


def test_a_pickle_as_the_state_of_a_run(workspace: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in pickles(workspace, "resume.ckpt"):
        (workspace / "resume.ckpt").write_bytes(path.read_bytes())
        assert RunState(workspace).load(section(TrainSection))[1] == {}
    assert caplog.text.count("cannot be read; training starts over") == 2


def members(**changes: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo("curves")
    for name, value in changes.items():
        setattr(info, name, value)
    return info


HOSTILE = {
    "out of the folder": members(name="../evil"),
    "an absolute name": members(name="/tmp/evil"),
    "a symbolic link": members(type=tarfile.SYMTYPE, linkname="/etc"),
    "a hard link": members(type=tarfile.LNKTYPE, linkname="../secret"),
    "a device": members(type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    "a pipe": members(type=tarfile.FIFOTYPE),
}


def tar(member: tarfile.TarInfo, mode: Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        archive.addfile(tarfile.TarInfo("classifier.ckpt"), io.BytesIO())
        archive.addfile(member, io.BytesIO())
    return buffer.getvalue()


@pytest.mark.parametrize("member", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_of_a_job(workspace: Path, member: tarfile.TarInfo) -> None:
    (workspace / "model.tar.gz").write_bytes(tar(member, "w:gz"))
    outs = [Path("models/classifier.ckpt"), Path("models/curves")]
    refused(lambda: unpack_outs(workspace / "model.tar.gz", outs, workspace), "delete the archive")
    assert [path.name for path in workspace.iterdir()] == ["model.tar.gz"]


@pytest.mark.parametrize("kind", [kind for kind in HOSTILE if kind != "an absolute name"])
def test_a_hostile_state_of_an_unfinished_job(workspace: Path, kind: str) -> None:
    """Its hash is right: whoever can write into the bucket can write that too. Only what stays inside is unpacked."""
    write(workspace / "kept/state-a", 1, tar(HOSTILE[kind], "w"))
    with pytest.raises(SystemExit) as caught:  # Python prints its message, and no traceback
        Checkpoints(workspace / "runs", workspace / "kept").start()
    assert re.fullmatch(r".*state-a: the state .* is refused \(\w+\); delete it from the bucket .*", caught.value.code)
    assert not (workspace / "runs/curves").exists()


def test_a_whole_state_of_an_unfinished_job_that_is_no_archive(workspace: Path) -> None:
    write(workspace / "kept/state-b", 1, b"no archive" * 100)
    with pytest.raises(SystemExit, match=r"state-b: the state of the unfinished job is refused \(ReadError\)"):
        Checkpoints(workspace / "runs", workspace / "kept").start()


def test_a_job_that_refuses_its_state_says_so_in_one_line(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write(workspace / "checkpoints/state-a", 2, tar(HOSTILE["out of the folder"], "w"))
    (workspace / "input/data/code").mkdir(parents=True)
    monkeypatch.chdir(workspace / "input/data/code")
    monkeypatch.setattr(entry, "prepare", lambda root: (workspace / "work", {}))
    monkeypatch.setattr(entry.signal, "signal", lambda *_: None)
    assert entry.main() == 1
    failure = (workspace / "output/failure").read_text(encoding="utf-8")
    assert failure.startswith(f"error: {workspace}/checkpoints/state-a: the state of the unfinished job is refused")
    assert capfd.readouterr().err == f"{failure}\n"


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system ['touch ran']", "!!python/object/new:os.system ['touch ran']", "!evil x"]
)
def test_yaml_with_code(workspace: Path, tag: str) -> None:
    for name, load in {
        "params.yaml": lambda: load_section("train", TrainSection),
        "compute.yaml": load_compute,
        "inference_config.yaml": lambda: read_config(Path("inference_config.yaml")),
        "recipes.yaml": lambda: read_yaml(Path("recipes.yaml")),
    }.items():
        (workspace / name).write_text(f"train: {tag}\n", encoding="utf-8")
        refused(load, f"{name}: not valid YAML: could not determine a constructor")


def test_yaml_that_is_no_text(workspace: Path) -> None:
    (workspace / "params.yaml").write_bytes(b"\xff\xfe\x00train")
    refused(lambda: read_yaml(Path("params.yaml")), r"params\.yaml: not valid YAML")


def with_external_weights(location: str) -> bytes:
    """A classifier by its inputs and outputs, whose weights lie in another file."""
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "offset": "0", "length": "16"}.items():
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    given = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["films", 4, 2, 2])
    nodes = [helper.make_node("Add", ["w", "w"], [name]) for name in (LOGITS, FEATURES)]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in (LOGITS, FEATURES)]
    graph = helper.make_graph(nodes, "g", [given], outputs, [weights])
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


@pytest.mark.parametrize("where", ["../secret", "secret", "/etc/passwd", "absolute"])
def test_onnx_weights_outside_of_the_bundle(workspace: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    for folder in (workspace, workspace / "here"):
        folder.mkdir(exist_ok=True)
        np.arange(4, dtype=np.float32).tofile(folder / "secret")
    location = str(workspace / "secret") if where == "absolute" else where
    (workspace / "here/classifier.onnx").write_bytes(with_external_weights(location))
    monkeypatch.chdir(workspace / "here")
    refused(lambda: load_network(Path("classifier.onnx")), r"classifier\.onnx: not a classifier")
    refused(lambda: load_segmenter(Path("classifier.onnx")), r"classifier\.onnx: not a lung segmenter")


def objects() -> Any:
    return np.array([Evil()], dtype=object)


def test_an_npz_with_objects(workspace: Path) -> None:
    names = ("image", "label", "statistics", "train_images")
    np.savez(workspace / "a.npz", **{name: objects() for name in names})  # type: ignore[arg-type]
    refused(lambda: read_npz(workspace / "a.npz"), "not a readable NPZ film .*allow_pickle=False")
    refused(lambda: read_reference(workspace / "a.npz"), "not readable .*allow_pickle=False")
    refused(lambda: medmnist_array(str(workspace / "a.npz"), "train_images"), "cannot be read .*allow_pickle=False")
    refused(lambda: read_film(f"{workspace / 'a.npz'}#train/0"), "cannot be read .*allow_pickle=False")


def test_a_shard_with_objects(workspace: Path) -> None:
    np.save(workspace / "a.npy", objects())
    head = "split,shard,row,image_id,patient_id,label,film_hash\n"
    (workspace / TABLE).write_text(f"{head}train,a.npy,0,f,P,0,{hashlib.sha256().hexdigest()}\n", encoding="utf-8")
    (workspace / FACTS).write_text(json.dumps({"classes": ["a", "b"], "image_px": 32, "spec": "{}"}), encoding="utf-8")
    refused(lambda: open_shards(workspace).films("train"), "not a readable shard")
