"""Networks with blocks that can be inspected: blocks, families, weights and the catalogue."""
