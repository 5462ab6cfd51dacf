"""Stage train: the network that ships, learned from the films that the screening left in.

One run (`fit`, also for the screening): Lightning, cross-entropy with Dice, one-cycle schedule; an interrupted run goes
on from its last whole epoch.
"""

import logging
import shutil
from pathlib import Path
from typing import Any

import cv2
import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cxr.core.config import load_section
from cxr.core.files import digest, write_csv
from cxr.runtime.console import run_stage
from segmenter.augment import augment
from segmenter.config import PARAMS, RESUME, WORK, FitSection, TrainSection
from segmenter.network import LungNet, frozen_parts, new_network, save_network
from segmenter.table import Films, Image, read_learning_set

log = logging.getLogger(__name__)


def main() -> None:
    """Write lung_net.pt and history.csv; a run that was cut off goes on from its last whole epoch."""
    section = load_section("train", TrainSection, PARAMS)
    films, masks, pairs = read_learning_set(WORK / "films")
    screened = WORK / "screen.csv"
    left_out = set(pd.read_csv(screened).query("left_out")["film"])
    learn = [at for at, pair in enumerate(pairs) if pair.split == "train" and pair.film not in left_out]
    check = [at for at, pair in enumerate(pairs) if pair.split == "val" and pair.film not in left_out]
    run = digest(section.model_dump_json().encode(), screened.read_bytes())
    resume = RESUME / run
    network, history = fit(films, masks, learn, check, section, resume)
    save_network(WORK / "lung_net.pt", network)
    write_csv(WORK / "history.csv", history)
    shutil.rmtree(resume)


class TrainFilms(Dataset[tuple[Tensor, Tensor]]):
    """Augmented films in random order.

    Order and looks follow from seed, epoch and index alone, so that a run that goes on ends as if it had never stopped.
    """

    def __init__(self, films: Films, masks: Films, indices: list[int], section: FitSection) -> None:
        self.films, self.masks, self.indices, self.section = films, masks, indices, section
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Shuffle for an epoch, and take its resolution."""
        self.epoch = epoch
        self.px = self.section.early_px if epoch < self.section.early_epochs else self.section.inner_px
        self.order = np.random.default_rng([self.section.seed, epoch]).permutation(self.indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        index = int(self.order[position])
        rng = np.random.default_rng([self.section.seed, self.epoch, index])
        return to_tensors(*augment(self.films[index], self.masks[index], self.px, rng))


class PlainFilms(Dataset[tuple[Tensor, Tensor]]):
    """Films as they are, scaled to the network's resolution."""

    def __init__(self, films: Films, masks: Films, indices: list[int], inner_px: int) -> None:
        self.films, self.masks, self.indices, self.inner_px = films, masks, indices, inner_px

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        shape, index = (self.inner_px, self.inner_px), self.indices[position]
        film, mask = (
            cv2.resize(array[index], shape, interpolation=cv2.INTER_AREA) for array in (self.films, self.masks)
        )
        return to_tensors(film, mask)


def to_tensors(film: Image, mask: Image) -> tuple[Tensor, Tensor]:
    """Grey (px, px) to float RGB (3, px, px) of 0..255; mask to its share of lung, float (1, px, px)."""
    rgb = torch.from_numpy(np.ascontiguousarray(film)).float().expand(3, -1, -1)
    return rgb, torch.from_numpy(np.ascontiguousarray(mask)).float()[None] / 255


class Fit(lightning.LightningModule):
    """The recipe."""

    def __init__(self, network: LungNet, section: FitSection) -> None:
        super().__init__()
        self.network, self.section = network, section
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_start(self) -> None:
        """Hand the epoch to the data, and keep the statistics of frozen layers as they are."""
        loader = self.trainer.train_dataloader
        assert loader is not None  # Lightning sets it before the first epoch
        loader.dataset.set_epoch(self.current_epoch)
        for part in frozen_parts(self.network, self.section.frozen_blocks):
            part.eval()

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Cross-entropy plus soft Dice loss."""
        rgb, mask = batch
        loss = lung_loss(self.network.logits(rgb).float(), mask)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(rgb))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Loss and mean Dice a film."""
        rgb, mask = batch
        logits = self.network.logits(rgb).float()
        self.log("val_loss", lung_loss(logits, mask), batch_size=len(rgb))
        self.log("val_dice", dice_of(logits > 0, mask > 0.5).mean(), batch_size=len(rgb))

    def on_train_epoch_end(self) -> None:
        """Add a row to the history."""
        figures = {name: float(self.trainer.callback_metrics[name]) for name in ("train_loss", "val_loss", "val_dice")}
        self.rows.append({"epoch": self.current_epoch, **figures})
        told = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        log.info("epoch %d of %d: %s", self.current_epoch + 1, self.section.epochs, told)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let the history go on after a resume."""
        checkpoint["rows"] = self.rows

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history up again."""
        self.rows = checkpoint["rows"]

    def configure_optimizers(self) -> Any:
        """AdamW under a one-cycle schedule."""
        learning = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(learning, lr=self.section.lr, weight_decay=self.section.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.section.lr, total_steps=int(self.trainer.estimated_stepping_batches), pct_start=0.15
        )
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def lung_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy + (1 - soft Dice), the Dice a film; logits and mask are (films, 1, px, px)."""
    probability = torch.sigmoid(logits)
    overlap = (probability * mask).sum((1, 2, 3))
    total = (probability + mask).sum((1, 2, 3))
    dice = (2 * overlap + 1) / (total + 1)
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, mask) + (1 - dice).mean()


def dice_of(found: Tensor, mask: Tensor) -> Tensor:
    """Dice of each film; two empty masks agree."""
    overlap = (found & mask).sum((1, 2, 3)).float()
    total = (found.sum((1, 2, 3)) + mask.sum((1, 2, 3))).float()
    return torch.where(total > 0, 2 * overlap / total, 1.0)


def fit(
    films: Films, masks: Films, learn: list[int], check: list[int], section: FitSection, resume: Path
) -> tuple[LungNet, pd.DataFrame]:
    """Train a network on the films of `learn`; `check` only draws the curves.

    Args:
        films: grey, (films, side, side).
        masks: 0..255, the same shape.
        learn: indices to learn from.
        check: indices to draw the validation curve from.
        section: the recipe.
        resume: folder of this run's checkpoint; a run that finds one there goes on from its last whole epoch.

    Returns:
        The network of the last epoch, in evaluation mode, and one row of figures an epoch.
    """
    lightning.seed_everything(section.seed, verbose=False)
    module = Fit(new_network(section.frozen_blocks).to(memory_format=torch.channels_last), section)
    train = DataLoader(TrainFilms(films, masks, learn, section), section.batch, drop_last=True)
    plain = DataLoader(PlainFilms(films, masks, check, section.inner_px), section.batch)
    trainer = lightning.Trainer(
        max_epochs=section.epochs,
        accelerator="auto",
        devices=1,
        precision=section.precision,
        gradient_clip_val=1.0,
        callbacks=[ModelCheckpoint(resume, filename="last", save_top_k=1, enable_version_counter=False)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        deterministic="warn",
    )
    last = resume / "last.ckpt"
    trainer.fit(module, train, plain, ckpt_path=last if resumable(last) else None, weights_only=True)
    return module.network.eval().cpu(), pd.DataFrame(module.rows)


def resumable(state: Path) -> bool:
    """Whether there is a state to go on from; says so where there is one that cannot be read."""
    if not state.is_file():
        return False
    try:
        torch.load(state, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch.load raises whatever its zip reader and unpickler raise
        log.warning("%s: cannot be read (%s); training starts over", state, type(error).__name__)
        return False
    return True


if __name__ == "__main__":
    run_stage(main)
