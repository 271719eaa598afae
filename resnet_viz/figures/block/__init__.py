"""Figures of blocks: the block map, the equation, channels, measures by depth, comparisons."""
