"""Which block matters most to a class, by its logit and by its probability, and why the two may differ."""

from resnet_viz.analyses.ablation import AblationSweep, BlockRemoval
from resnet_viz.figures.theme import short


def which_matters_most(sweep: AblationSweep) -> str:
    """Say in full sentences without which block the class loses most, by both measures."""
    removable = [block for block in sweep.blocks if block.removable]
    if not removable:
        return f"No block of {sweep.title} can be removed, because every one changes the shape of its input."
    by_logit = max(removable, key=lambda block: block.logit_drop)
    by_probability = max(removable, key=lambda block: block.probability_drop)
    label = sweep.target_label
    if by_logit.name == by_probability.name:
        return (
            f"Block {short(by_logit.name)} matters most to {label} by both measures: without its F(x), the logit"
            f" {_logit(by_logit)} and the probability {_probability(by_logit, sweep)}."
        )
    return (
        f"By the logit, block {short(by_logit.name)} matters most to {label}: without its F(x), the logit "
        f"{_logit(by_logit)}. By"
        f" the probability it is block {short(by_probability.name)}: {label} {_probability(by_probability, sweep)}. The two"
        " rankings differ because the softmax compares the classes: a probability also changes when other logits do."
    )


def _logit(block: BlockRemoval) -> str:
    return f"{'falls' if block.logit_drop > 0 else 'rises'} by {abs(block.logit_drop):.2f}"


def _probability(block: BlockRemoval, sweep: AblationSweep) -> str:
    return f"goes from {sweep.probability:.1%} to {block.probability:.1%}"
