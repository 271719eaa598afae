"""Networks whose blocks can be looked into: their blocks, families, weights and the catalogue of them."""
