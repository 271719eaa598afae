"""Surveys on the pages: those that ship with the app, and those of the users, which are kept in memory only."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count

import resnet_viz as rv
from app.samples import Sample
from resnet_viz import assets
from resnet_viz.analyses.survey.manifest import Manifest
from resnet_viz.engine.store import Store

MOST_BYTES, SHARE_BYTES = 192 * 2**20, 48 * 2**20
# The maximum number of images in a survey on a page: with it, everything stays fast.
MOST_IMAGES = 10_000


class MissingSurveyError(LookupError):
    """A link names a survey that this server does not have; the message is for the user."""


@dataclass(frozen=True, eq=False)
class HeldSurvey:
    """A survey, its title, and which of its images are available: sample ids and SHA-256s by the names of the images."""

    survey: rv.Survey
    title: str
    images: Mapping[str, str]

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes."""
        return self.survey.nbytes + 200 * len(self.images)


class Surveys:
    """The surveys of all sessions, limited in total and per session."""

    def __init__(self) -> None:
        self._held: Store[HeldSurvey] = Store(MOST_BYTES, lambda held: held.nbytes, SHARE_BYTES)
        # The keys of each session's surveys, the latest last, and the browser of each session.
        self._names: dict[str, list[str]] = {}
        self._browsers: dict[str, str] = {}

    def add(self, held: HeldSurvey, session: str) -> str:
        """Store a survey and return its key; rv.SurveyError if it is too large. A title that is there gets a number."""
        titles = set(self.titles(session).values())
        numbered = (f"{held.title} ({number})" for number in count(2))
        if held.title in titles:
            held = replace(held, title=next(title for title in numbered if title not in titles))
        name = sha256(f"{session} {held.title} {held.survey.manifest.to_json()} {id(held)}".encode()).hexdigest()[:32]
        if not self._held.put(name, held, session):
            raise rv.SurveyError(
                f"This survey takes {held.nbytes / 2**20:,.0f} MB of memory, more than the {SHARE_BYTES >> 20} MB that each"
                " person has on this server. Open it in Python with rv.open_survey, or survey fewer images."
            )
        self._names.setdefault(session, []).append(name)
        return name

    def titles(self, session: str, browser: str = "") -> dict[str, str]:
        """Return the titles of the surveys that a session added, by key, the latest last.

        A reload of the page starts a new session: it gets the surveys of the latest session of its browser.
        """
        if session not in self._browsers and browser:
            earlier = [other for other, theirs in list(self._browsers.items()) if theirs == browser and self._names.get(other)]
            self._names[session] = self._names.get(session, []) + (self._names[earlier[-1]] if earlier else [])
            self._browsers[session] = browser
        held = {name: self._held.get(name, session) for name in self._names.get(session, ())}
        return {name: found.title for name, found in held.items() if found is not None}

    def get(self, name: str, session: str) -> HeldSurvey:
        """Return a survey; MissingSurveyError if it is no longer there."""
        held = self._held.get(name, session)
        if held is None:
            raise MissingSurveyError(
                "The survey of this link is no longer on this server, because uploaded surveys are kept in memory only."
                " Create it again, or choose one from the list."
            )
        return held

    def forget(self, session: str) -> None:
        """Remove the surveys that only this session uses."""
        self._held.forget(session)
        self._names.pop(session, None)
        self._browsers.pop(session, None)


def read_shipped(samples: Mapping[str, Sample]) -> dict[str, HeldSurvey]:
    """Read the surveys that ship with the app. In the survey of the sample photos, the images are available."""
    by_file = {f"{sample.id}.jpg": sample.id for sample in samples.values()}
    found = {}
    for path in sorted(assets.SURVEYS_FOLDER.glob("*.parquet")):
        survey = rv.open_survey(path.read_bytes())
        names = set(survey.image_names())
        at_hand = {file: id_ for file, id_ in by_file.items() if file in names}
        found[path.stem] = HeldSurvey(survey, title_of(survey.manifest, survey.manifest.images), at_hand)
    return found


def title_of(manifest: Manifest, images: str) -> str:
    """The title of a survey: what was surveyed, and by which network."""
    return f"{images}, by {manifest.title}{' with random weights' if is_untrained(manifest) else ''}"


def is_untrained(manifest: Manifest) -> bool:
    """Whether the surveyed network had random weights."""
    return manifest.weights.startswith("untrained")
