"""Surveys as pages know them: those that ship with the app, and those that people made or brought, in memory alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import resnet_viz as rv
from app.samples import Sample
from resnet_viz import assets
from resnet_viz.engine.store import Store

MOST_BYTES, SHARE_BYTES = 192 * 2**20, 48 * 2**20
# The most images that a survey on a page may have: everything stays quick with them.
MOST_IMAGES = 10_000


class MissingSurveyError(LookupError):
    """A link to a survey that this server does not hold; the message is for the user."""


@dataclass(frozen=True, eq=False)
class HeldSurvey:
    """A survey, what to call it, and which of its images are at hand: sample ids and SHA-256s by the images' names."""

    survey: rv.Survey
    title: str
    images: Mapping[str, str]

    @property
    def nbytes(self) -> int:
        """Memory in bytes, about."""
        return self.survey.nbytes + 200 * len(self.images)


class Surveys:
    """The surveys of all sessions, bounded in all and for each session."""

    def __init__(self) -> None:
        self._held: Store[HeldSurvey] = Store(MOST_BYTES, lambda held: held.nbytes, SHARE_BYTES)

    def add(self, held: HeldSurvey, session: str) -> str:
        """Keep a survey; returns its name. rv.SurveyError for one that is too large to be kept."""
        name = sha256(f"{session} {held.title} {held.survey.manifest.to_json()} {id(held)}".encode()).hexdigest()[:32]
        if not self._held.put(name, held, session):
            raise rv.SurveyError(
                f"This survey takes {held.nbytes / 2**20:,.0f} MB of memory, more than the {SHARE_BYTES >> 20} MB that a"
                " person may have on this server: open it in Python with rv.open_survey, or survey fewer images."
            )
        return name

    def get(self, name: str, session: str) -> HeldSurvey:
        """Return a survey; MissingSurveyError with a sentence if it is gone."""
        held = self._held.get(name, session)
        if held is None:
            raise MissingSurveyError(
                "The survey of this link is not on this server any more: surveys of your own live in memory only."
                " Make it again, or choose one from the list."
            )
        return held

    def forget(self, session: str) -> None:
        """Let go of what only this session claims."""
        self._held.forget(session)


def read_shipped(samples: Mapping[str, Sample]) -> dict[str, HeldSurvey]:
    """Read the surveys that ship with the app; the images of those of sample photos are at hand."""
    by_file = {f"{sample.id}.jpg": sample.id for sample in samples.values()}
    found = {}
    for path in sorted(assets.SURVEYS_FOLDER.glob("*.parquet")):
        survey = rv.open_survey(path.read_bytes())
        names = set(survey.image_names())
        at_hand = {file: id_ for file, id_ in by_file.items() if file in names}
        found[path.stem] = HeldSurvey(survey, f"{survey.manifest.images}, by {survey.manifest.title}", at_hand)
    return found
