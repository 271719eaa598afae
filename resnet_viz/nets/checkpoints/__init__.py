"""Checkpoints that people bring along: read without running anything, recognised, and turned into a network.

Reading order: `reading` says what kind of file it is, `torch_files` and `safetensors_files` find the tensors' bytes, `pickles`
interprets a pickle without importing or calling anything, `contents` finds the state dicts and what the file says about itself.
`selection` chooses the state dict and the prefix of the network, `naming` and `ordering` find its layers, `layouts` says which
network they are. `assembly` builds it, `options` lists what its tensors leave open, `evidence` and `deciding` answer that from
what the batch norms remember, `verdicts` says how clearly, and `loading` ties all of it together.
"""
