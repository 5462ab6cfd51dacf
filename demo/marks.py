"""Foreign objects on films: side letters, leads, tubes; independent of pneumonia."""

import cv2
import numpy as np

from demo.anatomy import Anatomy
from demo.canvas import LEFT, SIDE, TOP, UNIT, Plane, drawn, fixed_point, smooth_line

LEAD = 0.9  # attenuation of a metal marker


def add_marks(depth: Plane, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Add the marks of one film to the attenuation, in place."""
    layer = np.zeros((SIDE, SIDE), np.uint8)
    reach = anatomy.half_width + anatomy.wall
    if rng.random() < 0.75:
        at = fixed_point(np.array([[-reach * rng.uniform(0.95, 1.12), rng.uniform(0.0, 0.45)]]))[0] >> 4
        cv2.putText(layer, "R", at.tolist(), cv2.FONT_HERSHEY_DUPLEX, rng.uniform(0.6, 1.1), 255, 2, cv2.LINE_AA)
    if rng.random() < 0.12:
        for _ in range(rng.integers(1, 4)):
            spot = fixed_point(np.array([[rng.uniform(-0.5, 0.5), rng.uniform(0.1, 0.9)]]))[0]
            cv2.circle(layer, spot.tolist(), 7 << 4, 150, -1, cv2.LINE_AA, 4)
            cable = smooth_line([tuple((spot / 16 + 0.5) / UNIT + (LEFT, TOP)), (rng.uniform(-0.9, 0.9), -0.6)])
            cv2.polylines(layer, [fixed_point(cable)], False, 90, 1, cv2.LINE_AA, 4)
    if rng.random() < 0.1:
        depth_end = rng.uniform(0.25, 1.2)
        tube = smooth_line([(0.01, -0.65), (rng.normal(0, 0.02), 0.1), (rng.normal(0.02, 0.02), depth_end)])
        cv2.polylines(layer, [fixed_point(tube)], False, 60, 3, cv2.LINE_AA, 4)
    depth += np.float32(LEAD) * drawn(layer)
