"""The position of each block of a network that is drawn as a chain, in pixels from left to right."""

from dataclasses import dataclass

from resnet_viz.analyses.inspection import BlockInspection, Inspection

LEFT, RIGHT, GAP, PAD = 96, 132, 12, 10
WIDEST, NARROWEST, COMFORTABLE = 94.0, 62.0, 900


@dataclass(frozen=True)
class Place:
    """A block's column of width `step` around `centre`; its arc goes from `start` to `end`, the position of the sum."""

    block: BlockInspection
    centre: float
    step: float

    @property
    def start(self) -> float:
        """The position where the residual branch leaves the line."""
        return self.centre - 0.33 * self.step

    @property
    def end(self) -> float:
        """The position where it is added."""
        return self.centre + 0.3 * self.step


def places_of(inspection: Inspection) -> list[Place]:
    """Give every block its position: stages are separated, and a deep network takes the width that its blocks need."""
    step = min(WIDEST, max(NARROWEST, COMFORTABLE / len(inspection.blocks)))
    places: list[Place] = []
    x = float(LEFT)
    for block in inspection.blocks:
        if places and block.stage != places[-1].block.stage:
            x += 2 * PAD + GAP
        places.append(Place(block, x + step / 2, step))
        x += step
    return places


def natural_width(places: list[Place]) -> int:
    """Return the width in pixels at which every block is readable; a narrower window scrolls."""
    return round(places[-1].centre + places[-1].step / 2 + PAD + GAP + RIGHT)


def focus_of(inspection: Inspection, name: str) -> float:
    """Where a block stands, from 0 (left end) to 1 (right end): there a window too narrow for the whole chain looks first."""
    places = places_of(inspection)
    return next((place.centre / natural_width(places) for place in places if place.block.name == name), 0.0)
