"""What the project promises: dependencies agree, the public API is there, nothing refers to one machine."""

import ast
import json
import re
import tomllib
from pathlib import Path

import resnet_viz as rv
from resnet_viz import assets
from resnet_viz.nets.curves import read_curves
from resnet_viz.nets.zoo import CIFAR

ROOT = Path(__file__).parents[1]


def test_requirements_hold_every_dependency_and_the_package_itself() -> None:
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert lines == [*project["dependencies"], "-e ."]


def test_the_public_names_are_there() -> None:
    names = ["list_models", "load", "open_image", "ImageError", "inspect", "activations", "figures", "WeightsError"]
    assert [name for name in names if not hasattr(rv, name)] == []
    assert set(rv.__all__) <= set(dir(rv))


def python_files() -> list[Path]:
    return [path for folder in ("resnet_viz", "app") for path in (ROOT / folder).rglob("*.py")]


def test_what_figures_have_in_common_stands_in_the_template() -> None:
    for path in (ROOT / "resnet_viz" / "figures").rglob("*.py"):
        repeated = re.findall(r"dragmode=False|fixedrange\W+True|hovermode\W+closest", path.read_text())
        assert repeated == [] or path.name == "theme.py", path


def test_percentages_are_written_in_one_form() -> None:
    """As the formats of Python and Plotly write them, "41%", because neither can put a space in front of the sign."""
    spaced = re.compile(r"[\d}]\s?[ \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}]%(?![\w({])")
    texts = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "app").rglob("*.js"), *python_files()]
    assert {str(path): found for path in texts if (found := spaced.findall(path.read_text()))} == {}


def test_no_module_uses_the_private_names_of_another() -> None:
    for path in python_files():
        tree = ast.parse(path.read_text())
        imported = {name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in _names(node)}
        assert [name for name in imported if name.startswith("_")] == [], path
        taken = [
            f"{node.value.id}.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if node.value.id in imported and node.attr.startswith("_") and not node.attr.startswith("__")
        ]
        assert taken == [], path


def _names(node: ast.ImportFrom) -> list[str]:
    ours = (node.module or "").split(".")[0] in {"resnet_viz", "app"}
    return [alias.name for alias in node.names] if ours else []


def test_the_readme_tells_the_errors_of_the_shipped_curves() -> None:
    text = (ROOT / "README.md").read_text()
    for name, curve in read_curves(CIFAR).items():
        end = curve.iloc[-1]
        assert f"| {CIFAR[name].title} | {end['train_error']:.1%} | {end['test_error']:.1%} |" in text


def test_shipped_weights_have_card_curve_and_load() -> None:
    shipped = sorted(path.stem for path in assets.WEIGHTS_FOLDER.glob("*.safetensors"))
    assert "resnet20-cifar10" in shipped
    for name in shipped:
        card = json.loads((assets.WEIGHTS_FOLDER / f"{name}.json").read_text())
        curve = (assets.CURVES_FOLDER / f"{name}.csv").read_text().splitlines()
        assert len(curve) == card["recipe"]["epochs"] + 1
        assert f"{card['test_accuracy']:.2%}" in (assets.WEIGHTS_FOLDER / f"{name}.md").read_text()
        assert rv.load(name, device="cpu").weights.source == "shipped"


def test_the_default_network_knows_its_own_samples() -> None:
    net = rv.load("resnet20-cifar10", device="cpu")
    folder = assets.SAMPLES_FOLDER
    for sample in json.loads((folder / "samples.json").read_text()):
        if sample["kind"] == "cifar10":
            best = rv.inspect(net, rv.open_image(folder / sample["file"])).predictions[0]
            assert best.label == sample["label"], sample["file"]
