"""The decrease of a class without each block, requested only where it is shown, because it takes separate passes."""

from collections.abc import Callable
from functools import partial

import resnet_viz as rv
from app import jobs, waiting
from app.catalogue import Subject
from resnet_viz.analyses.ablation import AblationSweep
from resnet_viz.engine.jobs import Ticket


def removals(subject: Subject, image: str, result: rv.Inspection) -> AblationSweep | None:
    """Each block's branch removed in turn, for the class of an inspection; None if that was stopped."""
    view = f"ablation sweep {subject.field}"
    ask = partial(jobs.submit, subject, "ablation sweep", image, result.target, view)
    key = (view, subject.key, image, result.target)
    found = waiting.long("without block", key, [ask], subject)
    return found[0] if found else None


def asked(subject: Subject, image: str, result: rv.Inspection) -> Callable[[], Ticket]:
    """Ask for the same without showing progress, where a page has shown it already."""
    return partial(jobs.submit, subject, "ablation sweep", image, result.target, "shared sweep")


def with_removals(subject: Subject, image: str, result: rv.Inspection) -> rv.Inspection:
    """Return the inspection with the decrease of the class without each block; unchanged if that was stopped."""
    found = removals(subject, image, result)
    return result if found is None else found.added_to(result)
