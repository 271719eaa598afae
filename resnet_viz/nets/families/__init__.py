"""Network families in addition to the ResNets: other residual classifiers of torchvision, and those of the package timm.

Their blocks are found in their graphs (`nets/residual_graph`). Records (`records.py`) contain what lists and pages need to know
about a network before it is built; `python -m resnet_viz.nets.families` writes them again.
"""
