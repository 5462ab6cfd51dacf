"""What a job must know of SageMaker's instance types: their processor, and whether they have a disk of their own."""

from typing import Literal

from cxr.core.errors import CxrError

# CUDA 13, which AWS's images bring, no longer runs on Maxwell, Pascal and Volta (NVIDIA, CUDA 13.0 release notes).
OLD_GPUS = {"p2": "K80", "p3": "V100", "p3dn": "V100", "g3": "M60", "g3s": "M60"}
LOCAL_DISK = ("g4dn", "g5", "g6", "g7", "p3dn", "p4", "p5", "p6")


def family(instance_type: str) -> str:
    """`g5` of `ml.g5.xlarge`."""
    return instance_type.removeprefix("ml.").split(".")[0]


def processor(instance_type: str) -> Literal["cpu", "gpu"]:
    """What the job computes on; raises CxrError for an instance that the training image cannot use."""
    name, where = family(instance_type), f"compute.yaml: sagemaker.instance_type: {instance_type}"
    if name in OLD_GPUS:
        raise CxrError(f"{where}: the image's CUDA 13 no longer runs on its {OLD_GPUS[name]} GPUs; take g4dn, g5 or g6")
    if name.startswith(("trn", "inf")):
        raise CxrError(f"{where}: AWS's Neuron chips need another PyTorch than the image has; take g5, or m5 for a CPU")
    if name.startswith(("p6e", "g5g")):
        raise CxrError(f"{where}: an Arm processor, and image and wheels are for x86-64; take another family")
    return "gpu" if name[:1] in ("g", "p") and name[1:2].isdigit() else "cpu"


def has_local_disk(instance_type: str) -> bool:
    """Whether an instance has a local NVMe disk (AWS: instance store volumes); then SageMaker adds no volume to it."""
    name = family(instance_type)
    return name.startswith(LOCAL_DISK) or (processor(instance_type) == "cpu" and name.endswith("d"))
