from pathlib import Path

import pytest
import torch

from cxr.core.errors import CxrError
from cxr.models.classifier import Classifier, load_classifier, new_classifier, save_classifier

BACKBONE = "test_resnet"
FILMS = torch.randint(0, 256, (3, 4, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def classifier(classes: tuple[str, ...] = ("normal", "pneumonia"), mask_channel: str = "none") -> Classifier:
    torch.manual_seed(0)
    return new_classifier(BACKBONE, classes, 64, mask_channel).eval()


def test_two_classes_give_one_logit_and_three_give_three() -> None:
    assert classifier()(FILMS).shape == (3,)
    assert classifier(("normal", "bacterial", "viral"))(FILMS).shape == (3, 3)


def test_float_and_integer_films_of_the_same_scale_score_the_same() -> None:
    model = classifier()
    assert torch.equal(model(FILMS), model(FILMS.float()))


def test_without_a_mask_channel_the_mask_changes_nothing_and_with_concat_it_does() -> None:
    changed = FILMS.clone()
    changed[:, 3] = 255 - changed[:, 3]
    assert torch.equal(classifier()(FILMS), classifier()(changed))
    model = classifier(mask_channel="concat")
    assert not torch.equal(model(FILMS), model(changed))


def test_the_head_on_the_feature_map_gives_the_logits() -> None:
    model = classifier()
    features = model.feature_map(FILMS)
    assert features.ndim == 4
    assert torch.equal(model.logits(features), model(FILMS))


def test_a_checkpoint_brings_back_facts_and_logits_and_equal_classifiers_give_equal_bytes(tmp_path: Path) -> None:
    model = classifier()
    model.facts["npz_spec"] = '{"image_px": 64}'
    save_classifier(tmp_path / "a.ckpt", model)
    save_classifier(tmp_path / "other_name.ckpt", model)
    again = load_classifier(tmp_path / "a.ckpt")
    assert again.facts == model.facts
    assert again.fingerprint == model.fingerprint
    assert not again.training
    assert torch.equal(again(FILMS), model(FILMS))
    assert (tmp_path / "a.ckpt").read_bytes() == (tmp_path / "other_name.ckpt").read_bytes()


def test_the_fingerprint_sees_one_changed_weight() -> None:
    model = classifier()
    before = model.fingerprint
    with torch.no_grad():
        model.head[1].bias += 1e-6
    assert model.fingerprint != before


def test_the_error_for_an_unknown_backbone_suggests_similar_names() -> None:
    with pytest.raises(CxrError, match=r"efficientnt_b0.*did you mean 'efficientnet_b0'"):
        new_classifier("efficientnt_b0", ("a", "b"), 64)


@pytest.mark.parametrize("content", ["missing", "garbage", "foreign"])
def test_another_file_is_a_one_line_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "classifier.ckpt"
    if content == "garbage":
        path.write_bytes(b"not a zip")
    elif content == "foreign":
        torch.save({"state_dict": {}}, path)
    with pytest.raises(CxrError, match=r"classifier\.ckpt: no") as caught:
        load_classifier(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fault", ["mirror", "mask_channel"])
def test_a_checkpoint_of_an_older_version_is_rejected_with_the_commit_that_reads_it(tmp_path: Path, fault: str) -> None:
    model = classifier()
    if fault == "mirror":
        del model.facts["mirror"]
    else:
        model.facts["mask_channel"] = "multiply"
    save_classifier(tmp_path / "c.ckpt", model)
    with pytest.raises(CxrError, match=r"c\.ckpt: checkpoint of an older version; .*commit 732980e"):
        load_classifier(tmp_path / "c.ckpt")


def test_a_mismatched_checkpoint_names_the_backbone(tmp_path: Path) -> None:
    model = classifier()
    model.facts["backbone"] = "test_efficientnet"
    save_classifier(tmp_path / "c.ckpt", model)
    with pytest.raises(CxrError, match="weights do not fit 'test_efficientnet'"):
        load_classifier(tmp_path / "c.ckpt")
