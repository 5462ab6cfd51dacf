"""The masks of a cohort as a table, data/masks.csv, and as a contact sheet.

A package apart from cxr/lungs, so that a change of the segmenter does not evaluate again and a change of the sheet
does not segment again: the segment stage reaches the table's format only, evaluate needs no ONNX Runtime.
"""
