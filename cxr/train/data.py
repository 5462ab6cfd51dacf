"""The films as Lightning asks for them."""

from functools import cached_property
from typing import TypeVar, cast

import lightning as L

from cxr.train.batches import ScoreBatches, TrainBatches, epoch_order
from cxr.train.config import TrainSection
from cxr.train.films import Array, FilmSet
from cxr.train.module import TrainingModule
from cxr.train.recipe import batch_size, steps_per_epoch

Loader = TypeVar("Loader", TrainBatches, ScoreBatches)


class FilmData(L.LightningDataModule):
    """Training batches of the module's epoch, from the module's position on; validation films and their copies."""

    def __init__(self, films: FilmSet, settings: TrainSection) -> None:
        super().__init__()
        self.films, self.settings = films, settings
        self.batch = batch_size(len(films.train.labels), settings)
        self.steps = steps_per_epoch(len(films.train.labels), settings)

    @cached_property
    def weights(self) -> Array | None:
        """By which training films are drawn, where they are not drawn alike."""
        if self.settings.balance != "acquisition":
            return None
        from cxr.train.conflicts import draw_weights  # with scikit-learn, which no other training loads

        return draw_weights(self.films)

    def train_dataloader(self) -> TrainBatches:
        """Called anew for each epoch."""
        assert self.trainer is not None
        settings, module = self.settings, cast(TrainingModule, self.trainer.lightning_module)
        balanced, count = settings.balance in ("sampler", "acquisition"), self.steps * self.batch
        order = epoch_order(self.films.train.labels, settings.seed, module.epoch, balanced, count, self.weights)
        seed = (settings.seed, module.epoch)
        return self._share(TrainBatches(self.films.train, order, self.batch, seed, start=module.batch))

    def val_dataloader(self) -> list[ScoreBatches]:
        """The plain films, then their copies."""
        batch = max(1, 2 * self.batch // self.trainer.world_size) if self.trainer else self.batch
        return [self._share(ScoreBatches(each, batch)) for each in self.films.scored.values()]

    def _share(self, loader: Loader) -> Loader:
        assert self.trainer is not None
        loader.rank, loader.world = self.trainer.global_rank, self.trainer.world_size
        loader.pin = self.trainer.strategy.root_device.type == "cuda"
        return loader
