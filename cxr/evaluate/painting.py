"""Films with their lungs, or all but their lungs, painted over: what does the classifier still say?

The paint is the mean of what stays visible. The mean of the whole film would carry the lungs' own brightness into the
patch that hides them, and with it the opacity that the check is about.
"""

import numpy as np

from cxr.evaluate.arrays import Bools, Images

BLACK = 2  # grey levels of 255: at most this in every pixel of a padded row or column


def without_lungs(images: Images) -> Images:
    """Films (N, H, W, 4) with their lungs painted in the mean grey of the rest; the outline stays visible."""
    lungs = images[..., 3] > 127
    return _paint(images, lungs, ~lungs & ~padding(images))


def lungs_only(images: Images) -> Images:
    """Films (N, H, W, 4) with everything but the lungs, padding included, painted in the lungs' mean grey."""
    lungs = images[..., 3] > 127
    return _paint(images, ~lungs, lungs)


def padding(images: Images) -> Bools:
    """Where films (N, H, W, 4) hold no film: rows and columns at the edge that are black throughout, (N, H, W)."""
    dark: Bools = images[..., :3].max(axis=3) <= BLACK
    rows, columns = (_from_both_ends(np.asarray(dark.all(axis=axis))) for axis in (2, 1))
    return np.asarray(rows[:, :, None] | columns[:, None, :])


def _from_both_ends(black: Bools) -> Bools:
    """Whether a line is black and so is every line between it and one of the two edges, (N, lines)."""
    first = np.logical_and.accumulate(black, axis=1)
    last = np.logical_and.accumulate(black[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(first | last)


def _paint(images: Images, where: Bools, visible: Bools) -> Images:
    """Paint `where` in the mean of `visible`; films of which nothing stays visible are painted black."""
    count = visible.sum(axis=(1, 2))
    total = (images[..., :3].sum(axis=3, dtype=np.int64) * visible).sum(axis=(1, 2))
    grey = np.rint(total / np.maximum(3 * count, 1)).astype(np.uint8)
    painted = images.copy()
    painted[..., :3] = np.where(where[..., None], grey[:, None, None, None], images[..., :3])
    return painted
