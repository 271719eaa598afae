"""Families of networks beside the ResNets: torchvision's other residual classifiers, and those of the package timm.

Their blocks are found in their graphs (`nets/residual_graph`). What a list or a page must know of a network before it is built
stands in records (`records.py`), which `python -m resnet_viz.nets.families` writes anew.
"""
