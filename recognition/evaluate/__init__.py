"""Measures the pipeline on labelled images: metrics, data set readers, commands and reports."""
