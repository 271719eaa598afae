"""What a class loses without each block: asked for where it is shown, because it takes passes of its own."""

from functools import partial

import resnet_viz as rv
from app import results, waiting
from app.results import Subject
from resnet_viz.analyses.ablation import AblationSweep


def removals(subject: Subject, image: str, result: rv.Inspection) -> AblationSweep | None:
    """Each block's branch removed in turn, for the class of an inspection; None where that was stopped."""
    view = f"ablation sweep {subject.field}"
    ask = partial(results.submit, subject, "ablation sweep", image, result.target, view)
    found = waiting.long("without block", (view, subject.model, subject.trained, image, result.target), [ask], subject)
    return found[0] if found else None


def with_removals(subject: Subject, image: str, result: rv.Inspection) -> rv.Inspection:
    """Return the inspection with what the class loses without each block; without it where that was stopped."""
    found = removals(subject, image, result)
    return result if found is None else found.added_to(result)
