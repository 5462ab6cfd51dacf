"""Predictions as DICOM objects beside the film: Secondary Capture, structured report, segmentation."""
