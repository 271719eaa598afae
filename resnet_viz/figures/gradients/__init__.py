"""Figures of gradients: through both paths, by block, by parameter, by epoch."""
