"""The films as Lightning asks for them."""

from typing import TypeVar, cast

import lightning as L

from cxr.core.errors import CxrError
from cxr.train.batches import ScoreBatches, TrainBatches, epoch_order
from cxr.train.config import TrainSection
from cxr.train.films import FilmSet
from cxr.train.module import TrainingModule

Loader = TypeVar("Loader", TrainBatches, ScoreBatches)


class FilmData(L.LightningDataModule):
    """Training batches of the module's epoch, from the module's position on; validation ones, plain and corrupted."""

    def __init__(self, films: FilmSet, settings: TrainSection) -> None:
        super().__init__()
        self.films, self.settings = films, settings
        count = len(films.train.labels)
        if settings.batch > count:
            raise CxrError(f"train.batch: {settings.batch} is more than the {count} training films; lower it")

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return len(self.films.train.labels) // self.settings.batch

    def train_dataloader(self) -> TrainBatches:
        """Called anew for each epoch."""
        assert self.trainer is not None
        settings, module = self.settings, cast(TrainingModule, self.trainer.lightning_module)
        order = epoch_order(self.films.train.labels, settings.seed, module.epoch, settings.balance == "sampler")
        seed = (settings.seed, module.epoch)
        return self._share(TrainBatches(self.films.train, order, settings.batch, seed, start=module.batch))

    def val_dataloader(self) -> list[ScoreBatches]:
        """Plain films, then corrupted ones."""
        batch = max(1, 2 * self.settings.batch // self.trainer.world_size) if self.trainer else self.settings.batch
        return [self._share(ScoreBatches(each, batch)) for each in (self.films.val, self.films.copies["corrupted"])]

    def _share(self, loader: Loader) -> Loader:
        assert self.trainer is not None
        loader.rank, loader.world = self.trainer.global_rank, self.trainer.world_size
        loader.pin = self.trainer.strategy.root_device.type == "cuda"
        return loader
