"""Names that both sides of a job share. Standard library only: a container reads them before it has its packages."""

SPLITS = ("train", "val", "test")
INDEX = "index.csv"
