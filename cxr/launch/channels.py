"""Names that both sides of a job share. Standard library only: a container reads them before it has its packages."""

SPLITS = ("train", "val", "test")
INDEX = "index.csv"
# How the console shows a parameter of the train section that has a shorter name in params.yaml.
SHOWN_AS = {"batch": "batch_size", "lr": "learning_rate", "amp": "use_amp", "schedule": "scheduler"}
# Facts of the data that the console shows beside the parameters; they are no parameters of the stage.
FACTS = ("img_size",)
WHEELS = "wheels"  # folder in the code channel
# The line that the train stage logs after each epoch; the console's metrics and the progress bar are read from it.
METRICS = {
    "train_loss": r"epoch \d+: train loss ([0-9.eE+-]+)",
    "val_loss": r"epoch \d+: .*validation loss ([0-9.eE+-]+)",
    "val_auroc": r"epoch \d+: .*validation loss [0-9.eE+-]+ AUROC ([0-9.eE+-]+)",
    "stressed_auroc": r"epoch \d+: .*stressed AUROC ([0-9.eE+-]+)",
}
EPOCH_LINE = r"epoch (\d+): train loss"
