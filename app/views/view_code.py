"""The Python that makes a view: text that a person copies, and that a test runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app import results
from app.catalogue import Subject
from resnet_viz.engine.jobs import OptionValue

# What uploads are called in the code, by the names of the variables.
PHOTOS = {"image": "photo.jpg", "right_image": "right-photo.jpg"}
ASSETS = "from resnet_viz.assets import"
SHOW = "# In a notebook, a name alone shows a chart or a result; in a script, .show() opens a chart in the browser."


@dataclass(eq=False)
class Script:
    """Lines of Python with what they import."""

    imports: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)

    def add(self, *lines: str, imports: str | Iterable[str] = ()) -> None:
        """Add lines, and the imports that they need."""
        self.lines += lines
        self.imports |= {imports} if isinstance(imports, str) else {*imports}

    @classmethod
    def of(cls, subject: Subject, image: str) -> "Script":
        """Begin with a network and an image."""
        script = cls()
        script.net(subject)
        script.image(image)
        return script

    def net(self, subject: Subject, name: str = "net") -> None:
        """Open a network as the page does."""
        if subject.own is not None:
            self._checkpoint(subject, name)
        elif subject.shown:
            self.add(f"{name} = rv.from_module(my_module)  # the network that your Python program shows")
        else:
            self.add(f"{name} = {call('rv.load', subject.model, **({} if subject.trained else {'weights': None}))}")
        if subject.preprocessing.framing == "fit":
            self.imports.add("from dataclasses import replace")
            self.add(f'{name} = replace({name}, preprocessing=replace({name}.preprocessing, framing="fit"))')

    def image(self, image: str, name: str = "image") -> None:
        """Open a sample, or a photo that was uploaded, whose name on the person's disk nobody here knows."""
        if image in results.samples():
            self.add(f'{name} = rv.open_image(SAMPLES_FOLDER / "{image}.jpg")', imports=f"{ASSETS} SAMPLES_FOLDER")
        else:
            self.add(f"{name} = rv.open_image({quoted(PHOTOS[name])})  # the photo that you uploaded")

    def text(self) -> str:
        """Return all of it: imports as tools sort them, then the lines."""
        used = {"import resnet_viz as rv"} if any("rv." in line for line in self.lines) else set()
        standard = sorted(each for each in self.imports if each.startswith("from dataclasses"))
        others = sorted((self.imports | used) - {*standard}, key=lambda each: (each.startswith("from"), each))
        head = [*standard, *([""] if standard else []), *others]
        return "\n".join([*head, "", *self.lines, "", SHOW])

    def _checkpoint(self, subject: Subject, name: str) -> None:
        own = subject.own
        if own is None:
            return
        preprocessing = own.net.preprocessing
        sizes = [preprocessing.resize, preprocessing.crop, preprocessing.mean, preprocessing.std]
        given = ", ".join(map(repr, sizes))
        if preprocessing.interpolation.name != "BILINEAR":
            self.imports.add("from torchvision.transforms import InterpolationMode")
            given += f", InterpolationMode.{preprocessing.interpolation.name}"
        self.add(f"labels = {list(own.net.labels)!r}")
        self.add(f"preprocessing = rv.Preprocessing({given})")
        options = f'labels=labels, preprocessing=preprocessing, architecture="{own.architecture}"'
        self.add(f"{name} = rv.load_checkpoint({own.file!r}, {options})")
        if own.net.head == "sigmoid":
            self.imports.add("from dataclasses import replace")
            self.add(f'{name} = replace({name}, head="sigmoid")')


def call(function: str, *arguments: OptionValue, **options: OptionValue) -> str:
    """Write a call; texts are quoted as this project quotes them."""
    return bare(function, *map(quoted, arguments), **options)


def bare(function: str, *arguments: str, **options: Any) -> str:  # noqa: ANN401 - texts, numbers and tuples
    """Write a call of names and expressions, with options by their names."""
    named = [f"{name}={quoted(value)}" for name, value in options.items()]
    return f"{function}({', '.join([*arguments, *named])})"


def quoted(value: Any) -> str:  # noqa: ANN401 - texts, numbers and tuples
    """Write a value as Python."""
    if not isinstance(value, str):
        return repr(value)
    written = repr(value)
    # Double quotes, where nothing in the text stands against them.
    return f'"{written[1:-1]}"' if '"' not in value and "'" not in value else written


def given(options: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are not the usual ones."""
    return {name: value for name, value in options.items() if name not in usual or usual[name] != value}


def listed(names: Sequence[str]) -> str:
    """Write a list of names."""
    return f"[{', '.join(map(quoted, names))}]"
