"""Figures of trained networks: curves and confusion matrices."""
