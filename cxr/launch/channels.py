"""Names that both sides of a job share. Standard library only: a container reads them before it has its packages."""

# Channel of a job -> splits whose films it brings: the copies of validation films come with these.
CHANNELS = {"train": ("train",), "val": ("val", "corrupted", "swapped"), "test": ("test",)}
SPLITS = tuple(split for splits in CHANNELS.values() for split in splits)
INDEX = "index.csv"
# What the console shows beside the parameters, for people who look for these names; a job reads none of it.
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
