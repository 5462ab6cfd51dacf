"""DeLong's method on the data of DeLong, DeLong & Clarke-Pearson (1988), as printed in the SAS/STAT User's Guide,
PROC LOGISTIC, example "Comparing Receiver Operating Characteristic Curves"."""

import numpy as np

ALBUMIN = "3.0 3.2 3.9 2.8 3.2 0.9 2.5 1.6 3.8 3.7 3.2 3.8 4.1 3.6 4.3 3.6 2.3 4.2 4.0 3.5 3.8 3.0 4.5 3.7 3.1 4.1 4.3 \
4.3 3.2 2.6 3.3 1.7 3.7 3.3 4.2 3.5 2.9 2.1 2.8 4.0 3.3 3.7 3.6"
PROTEIN = "5.8 6.3 6.8 4.8 5.8 4.0 5.7 5.6 5.7 6.7 5.4 6.6 6.6 5.7 7.0 6.7 4.4 7.6 6.6 5.8 6.8 4.7 7.4 7.4 6.6 8.2 7.0 \
6.5 5.1 4.7 6.8 4.0 6.1 6.3 7.7 6.2 5.7 4.8 6.2 7.0 5.7 6.9 6.6"
KG = "10 5 3 6 3 5 8 5 5 6 4 6 5 5 4 4 6 4 6 6 7 8 5 5 6 6 5 4 5 6 6 7 5 7 6 5 9 7 8 7 6 5 5"
SURGERY_HELPED = "0110100111111110100110111111110011110101111"


def _columns():
    albumin, protein, kg = (np.array(text.split(), dtype=float) for text in (ALBUMIN, PROTEIN, KG))
    return np.array([float(digit) for digit in SURGERY_HELPED]), albumin, protein, 10 - kg
