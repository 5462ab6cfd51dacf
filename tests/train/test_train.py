"""Tests named after known bugs, and after what a user can get wrong."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from timm.optim import param_groups_weight_decay

from benchmarks.train_step import WAITS, Operators
from cxr.core.errors import CxrError
from cxr.models.classifier import load_classifier, new_classifier
from cxr.train.augment import augment
from cxr.train.config import TrainSection
from cxr.train.data import FilmData, open_films
from cxr.train.device import make_fabric, pick_devices, precision
from cxr.train.loop import adamw, four_channels, score, set_up, step_optimizer, train_step
from cxr.train.loss import film_losses
from tests.settings import augmentation, machine, section
from tests.train.conftest import Run, places_in, write_shards

STEPS = 6  # batches an epoch of the small set
adam = importlib.import_module("torch.optim.adam")  # torch.optim hides the name; AdamW's arithmetic is there


def test_a_run_repeats_bit_for_bit_with_any_number_of_workers(new_run: Callable[[str], Run], whole: Run) -> None:
    again = new_run("again")
    again = Run(again.places, again.settings, machine(accelerator="cpu", workers=7))()
    assert again.weights == whole.weights
    assert again.places.history.read_bytes() == whole.places.history.read_bytes()


def test_another_seed_is_another_run(new_run: Callable[[str], Run], whole: Run) -> None:
    assert new_run("other")(seed=14).weights != whole.weights


def test_best_is_not_last(new_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """The kept weights are a copy taken at the best epoch, no reference to what goes on training."""
    recipe = {"schedule": "plateau", "warmup": 0.0}  # whose first epoch does not depend on how many follow
    first = new_run("one")(epochs=1, **recipe)
    monkeypatch.setattr("cxr.train.state.selected_epoch", lambda *_: 0)
    monkeypatch.setattr("cxr.train.train.selected_epoch", lambda *_: 0)
    kept = new_run("three")(epochs=3, **recipe)
    assert len(kept.history) == 3
    one, three = load_classifier(first.places.checkpoint), load_classifier(kept.places.checkpoint)
    assert one.fingerprint == three.fingerprint
    assert three.facts["kept"]["epoch"] == 0


def test_clipping_acts_before_the_single_optimizer_step(
    new_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []
    original = adam.adam

    def spy(params: Any, grads: list[torch.Tensor], *args: Any, **kwargs: Any) -> None:
        norms.append(float(torch.stack([grad.norm() for grad in grads]).norm()))
        original(params, grads, *args, **kwargs)

    monkeypatch.setattr(adam, "adam", spy)
    new_run("clipped")(epochs=1, warmup=0.0, clip=0.01)
    groups = np.array(norms).reshape(STEPS, 4)  # of head and backbone, decayed and undecayed weights, once a batch
    assert np.linalg.norm(groups, axis=1) == pytest.approx(np.full(STEPS, 0.01), rel=1e-3)


def test_accumulation_steps_once_for_several_batches(
    new_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    original = adam.adam
    monkeypatch.setattr(adam, "adam", lambda *a, **k: (calls.append(1), original(*a, **k)))
    new_run("accumulated")(epochs=1, warmup=0.0, accumulate=4)
    assert len(calls) == 2 * 4  # after the fourth batch and after the last one; four groups each


def test_every_optimizer_step_gets_the_mean_gradient_of_its_batches(
    new_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step of an epoch too, which has fewer batches behind it."""
    gradients: list[torch.Tensor] = []

    def spy(params: Any, grads: list[torch.Tensor], *args: Any, **kwargs: Any) -> None:
        gradients.append(torch.cat([grad.flatten() for grad in grads]).clone())  # and no step is made

    monkeypatch.setattr(adam, "adam", spy)
    single, accumulated = [], []
    for name, accumulate, found in (("single", 1, single), ("accumulated", 4, accumulated)):
        new_run(name)(epochs=1, warmup=0.0, clip=0.0, accumulate=accumulate)
        found += [torch.cat(gradients[at : at + 4]) for at in range(0, len(gradients), 4)]  # four groups a step
        gradients.clear()
    assert (len(single), len(accumulated)) == (STEPS, 2)
    torch.testing.assert_close(accumulated[0], torch.stack(single[:4]).mean(dim=0), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(accumulated[1], torch.stack(single[4:]).mean(dim=0), rtol=1e-3, atol=1e-5)


def test_a_backbone_for_another_image_size_is_an_error_before_training(new_run: Callable[[str], Run]) -> None:
    with pytest.raises(CxrError, match=r"train\.backbone: 'vit_tiny_patch16_224' does not accept images of \d+ pixels"):
        new_run("vit")(backbone="vit_tiny_patch16_224", epochs=1, warmup=0.0)


def test_validation_is_not_augmented_and_training_is(
    new_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch, shards: Path
) -> None:
    scored, trained = list[torch.Tensor](), list[torch.Tensor]()

    def watch_scores(fabric: Any, classifier: Any, batch: Any, *args: Any) -> None:
        scored.append(four_channels(batch["image"]).float())
        score(fabric, classifier, batch, *args)

    def watch_augmentation(*args: Any) -> torch.Tensor:
        trained.append(augment(*args))
        return trained[-1]

    monkeypatch.setattr("cxr.train.loop.score", watch_scores)
    monkeypatch.setattr("cxr.train.loop.augment", watch_augmentation)
    run = new_run("seen")(epochs=1, warmup=0.0)
    pack = open_films(run.places.shards)
    plain = [torch.from_numpy(films.images[:]).float() for films in pack.scored.values()]
    assert torch.equal(torch.cat(scored)[:, [0, 3]], torch.cat(plain))
    changed = torch.cat(trained)[:, 0]
    assert len(changed) == STEPS * 4
    originals = torch.from_numpy(pack.train.images[:]).float()[:, 0]
    assert not any(torch.equal(film, original) for film in changed for original in originals)


def test_early_stopping_ends_before_all_epochs(new_run: Callable[[str], Run]) -> None:
    history = new_run("stopped")(epochs=30, patience=2, lr=1e-7, warmup=0.0).history
    assert len(history) < 30


def test_a_frozen_backbone_stays_as_it_was_loaded_with_its_statistics_and_the_head_learns(
    new_run: Callable[[str], Run],
) -> None:
    frozen = [load_classifier(new_run(f"{lr}")(epochs=2, backbone_lr=0.0, lr=lr).places.checkpoint) for lr in (0.1, 1)]
    one, other = (classifier.state_dict() for classifier in frozen)
    assert all(torch.equal(one[name], other[name]) for name in one if name.startswith("backbone."))
    assert not torch.equal(one["head.1.weight"], other["head.1.weight"])


def test_the_backbone_learns_at_its_share_of_the_rate(
    new_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    original = adam.adam
    monkeypatch.setattr(adam, "adam", lambda *a, lr, **k: (rates.append(lr), original(*a, lr=lr, **k)))
    new_run("shares")(epochs=1, warmup=0.0, backbone_lr=0.25)
    backbone, head = np.array(rates).reshape(STEPS, 2, 2).transpose(2, 0, 1)  # undecayed and decayed weights of each
    assert backbone == pytest.approx(0.25 * head)
    assert head.max() > 0


def test_shares_of_the_rate_leave_the_order_of_the_weights_and_so_the_last_digits_of_clipping() -> None:
    classifier = new_classifier("test_resnet", ("normal", "pneumonia"), 32)
    settings = section(TrainSection)
    optimizer = adamw(classifier, settings, make_fabric(settings, "cpu", 1, 1))
    grouped = [weight for group in optimizer.param_groups for weight in group["params"]]
    whole = [weight for group in param_groups_weight_decay(classifier) for weight in group["params"]]
    assert [id(weight) for weight in grouped] == [id(weight) for weight in whole]


def steps_without_a_wait(
    shards: Path, accelerator: str, amp: str, watch: Callable[[], AbstractContextManager[Any]]
) -> int:
    """Run an epoch of the loop's steps, all but the first under `watch`; returns their number."""
    settings = section(
        TrainSection, amp=amp, batch=4, min_steps=0, balance="none", portable=False, augment={"clahe": 0.5}
    )
    fabric, films = make_fabric(settings, accelerator, 1, 1), open_films(shards)
    classifier = new_classifier("test_efficientnet", films.classes, films.image_px).train()
    model, optimizer = set_up(fabric, classifier, settings)
    weights = torch.ones(2, device=fabric.device)
    batches, steps = FilmData(films, settings).train_batches(0, 0, fabric.device), 0
    for batch in batches:
        with watch() if steps else nullcontext():  # the first one chooses kernels and makes constants
            train_step(fabric, model, batch, settings, weights, 1)
            step_optimizer(fabric, model, optimizer, settings.clip)
        steps += 1
    return steps


@pytest.mark.parametrize("amp", ["off", "bf16"])
def test_a_step_reads_no_result_back(tmp_path: Path, amp: str) -> None:
    counted: list[Operators] = []

    def count() -> Operators:
        counted.append(Operators())
        return counted[-1]

    assert steps_without_a_wait(write_shards(tmp_path), "cpu", amp, count) > 2
    for each in counted:
        assert each.counts["convolution_backward"] > 5
        assert not WAITS & each.counts.keys()


@contextmanager
def waiting_is_an_error() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_cpu_never_waits_for_the_gpu_in_a_step(tmp_path: Path) -> None:
    assert steps_without_a_wait(write_shards(tmp_path), "gpu", "bf16", waiting_is_an_error) > 2


def test_the_history_has_a_row_an_epoch_and_no_clock(whole: Run) -> None:
    assert whole.history.columns.tolist() == [
        "epoch",
        "lr",
        "train_loss",
        *(f"{source}_{name}" for source in ("val", "corrupted", "swapped") for name in ("loss", "auroc", "accuracy")),
    ]
    assert whole.history["epoch"].tolist() == [0, 1, 2]


def test_the_checkpoint_holds_metadata_and_provenance(whole: Run) -> None:
    facts = load_classifier(whole.places.checkpoint).facts
    assert facts["classes"] == ["normal", "pneumonia"]
    assert facts["image_px"] == 32
    assert facts["npz_spec"] == "{}"
    assert facts["films"]["val"] == {"normal": 7, "pneumonia": 6}
    assert facts["train"]["lr"] == 1e-3
    assert facts["provenance"].keys() == {"data", "code", "device", "versions"}


def test_the_selected_classifier_reproduces_the_metrics_of_the_history(whole: Run) -> None:
    classifier = load_classifier(whole.places.checkpoint)
    val = open_films(whole.places.shards).val
    images = torch.from_numpy(val.images[:])[:, [0, 0, 0, 1]]
    with torch.no_grad():
        logits = classifier(images)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(val.labels).float())
    assert float(loss) == pytest.approx(classifier.facts["kept"]["val_loss"], rel=1e-4)


@pytest.mark.parametrize("backbone", ["efficientnet_b0", "resnet34", "resnet50"])
def test_the_usual_backbones_train(new_run: Callable[[str], Run], backbone: str) -> None:
    run = new_run(backbone)(backbone=backbone, epochs=1, warmup=0.0, batch=13)
    assert load_classifier(run.places.checkpoint).facts["backbone"] == backbone


@pytest.mark.parametrize("loss", ["bce", "cross_entropy"])
def test_three_classes_train(tmp_path: Path, new_run: Callable[[str], Run], loss: str) -> None:
    folder = write_shards(tmp_path / "three", classes=("normal", "bacterial", "viral"))
    run = Run(places_in(tmp_path / "run", folder), new_run("x").settings)
    run(epochs=1, warmup=0.0, loss=loss, balance="weights", mask_channel="concat")
    assert load_classifier(run.places.checkpoint)(torch.zeros(2, 4, 32, 32)).shape == (2, 3)


def test_a_loss_that_is_no_number_stops_with_epoch_step_and_learning_rate(
    new_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def poisoned(logits: torch.Tensor, *args: Any) -> torch.Tensor:
        calls.append(1)
        losses = film_losses(logits, *args)
        return losses * float("nan") if logits.requires_grad and len(calls) > STEPS + 4 else losses

    monkeypatch.setattr("cxr.train.loop.film_losses", poisoned)
    run = new_run("nan")
    with pytest.raises(CxrError, match=r"loss is nan at epoch 1, step \d \(lr 0\.000\d+\)"):
        run()
    assert not run.places.checkpoint.exists()


def test_the_error_for_a_full_gpu_names_the_parameter_to_lower(
    new_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("cxr.train.loop.train_step", full)
    with pytest.raises(CxrError, match=r"GPU is out of memory .* lower train\.batch \(now 4\)"):
        new_run("full")()


def test_a_cohort_smaller_than_a_batch_is_shown_as_often_as_the_steps_ask(new_run: Callable[[str], Run]) -> None:
    assert len(new_run("small")(batch=32, epochs=1, warmup=0.0, min_steps=2).history) == 1


def test_weights_that_expect_another_scale_get_it(new_run: Callable[[str], Run]) -> None:
    run = new_run("scaled")(epochs=1, warmup=0.0, mean=0.25, std=0.5)
    classifier = load_classifier(run.places.checkpoint)
    assert classifier.facts["mean"] == [0.25] * 3
    assert classifier.prepare(torch.full((1, 4, 32, 32), 255.0)).unique().tolist() == pytest.approx([1.5])


def test_the_error_for_an_unknown_backbone_suggests_similar_names(new_run: Callable[[str], Run]) -> None:
    with pytest.raises(CxrError, match=r"no model 'resnet43'; did you mean"):
        new_run("unknown")(backbone="resnet43")


def test_missing_devices_and_devices_that_do_not_divide_the_batch_are_errors() -> None:
    assert pick_devices(machine(accelerator="cpu"), 32) == ("cpu", 1)
    assert pick_devices(machine(accelerator="cpu", devices=2), 32) == ("cpu", 2)
    with pytest.raises(CxrError, match=r"train\.batch: 33 films cannot be divided over 2 devices"):
        pick_devices(machine(accelerator="cpu", devices=2), 33)
    with pytest.raises(CxrError, match=r"devices: 0"):
        pick_devices(machine(accelerator="cpu", devices=0), 32)


def test_a_missing_gpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(CxrError, match="no CUDA device is visible"):
        pick_devices(machine(accelerator="gpu"), 32)


def test_amp_is_off_on_cpu_unless_bf16_is_asked_for() -> None:
    assert precision("auto", "cpu", True) == precision("off", "cpu", True) == "32-true"
    assert precision("bf16", "cpu", False) == "bf16-mixed"
    assert precision("fp16", "gpu", True) == "16-mixed"
    with pytest.raises(CxrError, match="fp16 needs a GPU"):
        precision("fp16", "cpu", False)
    with pytest.raises(CxrError, match="bf16 on a CPU is not portable"):
        precision("bf16", "cpu", True)


def test_bf16_trains(new_run: Callable[[str], Run]) -> None:
    assert np.isfinite(new_run("bf16")(epochs=1, warmup=0.0, amp="bf16", portable=False).history["val_loss"]).all()


def test_augmentation_bounds_are_checked() -> None:
    with pytest.raises(ValueError, match="less than or equal to 1"):
        augmentation(flip=1.5)
