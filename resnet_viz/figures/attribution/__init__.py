"""Figures of attributions: maps, Grad-CAM, conductance, trust."""
