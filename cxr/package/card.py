"""model_card.md of a bundle, from its settings, its provenance and the results that Git tracks."""

from pathlib import Path
from string import Template
from typing import Any

from cxr.bundle.config import InferenceConfig

TEMPLATE = Path(__file__).with_name("card.md")
SHOWN = ("auroc", "macro_auroc", "accuracy", "sensitivity", "specificity", "macro_f1", "ece")


def model_card(config: InferenceConfig, provenance: dict[str, Any], figures: dict[str, Any]) -> str:
    """The text of the card.

    Args:
        config: the bundle's settings.
        provenance: as written beside it.
        figures: metrics/details/figures.json.
    """
    point = config.operating_point
    rule = "the likeliest class is called" if point.threshold is None else (
        f"{config.classes[1]} from a calibrated probability of {point.threshold:.3f} (rule `{point.rule}`)"
    )  # fmt: skip
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        classes=" or ".join(config.classes),
        backbone=config.backbone,
        image_px=config.image_px,
        weights=provenance["package"]["weights"],
        fingerprint=point.classifier,
        films=_films(provenance["films"]),
        decision=f"{rule}; temperature {point.temperature:.3f}",
        source=f"`{provenance['weights'].get('source', 'unknown')}`",
        figures=_table(figures),
        share=f"{config.familiar.share:.0%}",
        familiar_films=config.familiar.films,
        parity=f"{provenance['parity']['onnx']:.1g}",
        parity_films=provenance["parity"]["films"],
    )


def _films(films: dict[str, dict[str, int]]) -> str:
    counts = (f"{sum(classes.values())} {split} ({_by_class(classes)})" for split, classes in films.items())
    return "; ".join(counts)


def _by_class(classes: dict[str, int]) -> str:
    return ", ".join(f"{films} {name}" for name, films in classes.items())


def _table(figures: dict[str, Any]) -> str:
    """A table of the reported split; a figure that is not defined says why."""
    block = figures[figures["reported_split"]]
    rows = [f"| figure | {figures['reported_split']}, {block['films']} films |", "|---|---|"]
    for name in SHOWN:
        if name not in block:
            continue
        text = block.get(f"{name}_reason", "not defined") if block[name] is None else f"{block[name]:.3f}"
        if block.get(f"{name}_low") is not None:
            text += f" [{block[f'{name}_low']:.3f}, {block[f'{name}_high']:.3f}]"
        rows.append(f"| {name.replace('_', ' ')} | {text} |")
    return "\n".join(rows)
