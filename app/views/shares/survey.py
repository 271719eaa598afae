"""The survey page to take away."""

import resnet_viz as rv
from app import results
from app.state import Selection
from app.views.share_section import Shared
from app.views.survey_images import picked_image
from app.views.survey_sections import groupings
from app.views.view_code import ASSETS, Script, quoted
from resnet_viz.analyses.survey.statistics import Grouping
from resnet_viz.reporting.pieces import file_name
from resnet_viz.reporting.surveying import of_survey


def survey(found: rv.Survey, name: str, chosen: Selection, measure: str, block: str) -> Shared:
    """Describe it as the link says."""
    grouping: Grouping = next((each for each in groupings(found) if each == chosen.group), "all")
    picked = picked_image(found, chosen, measure, block) if found.image_names() else None
    contents = of_survey(found, measure, block, grouping, picked)
    return Shared(contents, survey_code(found, name, measure, block, grouping, picked))


def survey_code(found: rv.Survey, name: str, measure: str, block: str, grouping: Grouping, picked: str | None) -> str:
    """Write the Python that makes the page."""
    script = Script()
    if name in results.shipped_surveys():
        script.add(f's = rv.open_survey(SURVEYS_FOLDER / "{name}.parquet")', imports=f"{ASSETS} SURVEYS_FOLDER")
    else:
        file = file_name(f"{found.manifest.network}-survey.parquet")
        script.add(f"s = rv.open_survey({quoted(file)})  # the file of Download the survey as Parquet, at the end of the page")
    what = f"s, {quoted(measure)}"
    script.add(f"by_depth = rv.figures.survey_by_depth({what}, {quoted(grouping)}, {quoted(block)})")
    ringed = "" if picked is None else f", {quoted(picked)}"
    script.add(f"images = rv.figures.survey_scatter({what}, {quoted(block)}{ringed})")
    known = bool(found.images()["class"].notna().any()) and grouping != "predicted class"
    script.add(f"classes = rv.figures.survey_matrix({what}, {quoted('class' if known else 'predicted class')})")
    if found.images()["correct"].notna().any():
        script.imports.add("from resnet_viz.analyses.survey.statistics import confusion_counts")
        script.add("mistakes = rv.figures.survey_separation(s)")
        script.add('confusion = rv.figures.confusion(*confusion_counts(s), images="images")')
    script.add("table = s.table()", 'rv.report(s, "report.html")')
    return script.text()
