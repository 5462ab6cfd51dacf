"""The packed films as Lightning asks for them."""

from typing import TypeVar, cast

import lightning as L

from cxr.core.errors import CxrError
from cxr.train.batches import ScoreBatches, TrainBatches, epoch_order
from cxr.train.config import TrainSection
from cxr.train.module import TrainingModule
from cxr.train.packed import Pack

Loader = TypeVar("Loader", TrainBatches, ScoreBatches)


class FilmData(L.LightningDataModule):
    """Training batches of the module's epoch, from the module's position on; validation ones, plain and corrupted."""

    def __init__(self, pack: Pack, settings: TrainSection) -> None:
        super().__init__()
        self.pack, self.settings = pack, settings
        films = len(pack.train.labels)
        if settings.batch > films:
            raise CxrError(f"train.batch: {settings.batch} is more than the {films} training films; lower it")

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return len(self.pack.train.labels) // self.settings.batch

    def train_dataloader(self) -> TrainBatches:
        """Called anew for each epoch."""
        assert self.trainer is not None
        settings, module = self.settings, cast(TrainingModule, self.trainer.lightning_module)
        order = epoch_order(self.pack.train.labels, settings.seed, module.epoch, settings.balance == "sampler")
        seed = (settings.seed, module.epoch)
        return self._share(TrainBatches(self.pack.train, order, settings.batch, seed, start=module.batch))

    def val_dataloader(self) -> list[ScoreBatches]:
        """Plain films, then corrupted ones."""
        batch = max(1, 2 * self.settings.batch // self.trainer.world_size) if self.trainer else self.settings.batch
        return [self._share(ScoreBatches(films, batch)) for films in (self.pack.val, self.pack.corrupted)]

    def _share(self, loader: Loader) -> Loader:
        assert self.trainer is not None
        loader.rank, loader.world = self.trainer.global_rank, self.trainer.world_size
        loader.pin = self.trainer.strategy.root_device.type == "cuda"
        return loader
