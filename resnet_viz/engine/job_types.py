"""Every type of job: which analysis it runs, and which part of the answer each person gets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_type_hints

from PIL import Image

from resnet_viz.analyses import trust
from resnet_viz.analyses.ablation import Ablation, AblationSweep, ablate, sweep
from resnet_viz.analyses.accuracy import Accuracy, accuracy_of_archive
from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.attribution import Attribution, attribute
from resnet_viz.analyses.conductance import Conductance, conductance
from resnet_viz.analyses.deletions import Deletions, deletions
from resnet_viz.analyses.gradients import Gradients, gradients
from resnet_viz.analyses.inspection import Inspection, inspect, inspect_batch
from resnet_viz.analyses.logit_lens import Lens, lens
from resnet_viz.analyses.passage import Passage, passage
from resnet_viz.analyses.path_gradients import PathLengths, PathSamples, path_gradients, path_samples
from resnet_viz.analyses.place_fields import PlaceFields, place_fields
from resnet_viz.analyses.receptive_field import ReceptiveFields, receptive_fields
from resnet_viz.analyses.refinement import Refinement, refinement
from resnet_viz.analyses.refinement_survey import RefinementSurvey, refinement_survey
from resnet_viz.analyses.survey.parts import SurveyedPart
from resnet_viz.analyses.survey.running import SurveyProgress, survey_part
from resnet_viz.analyses.weights_digest import WeightsDigest, weights_digest
from resnet_viz.engine.jobs import EngineError, Job
from resnet_viz.images import digest, open_image
from resnet_viz.lessons.activation_order import Orders, orders
from resnet_viz.lessons.block_code import BlockCode, block_code
from resnet_viz.lessons.block_steps import Walk, walk
from resnet_viz.lessons.loss_landscape import Landscape, loss_landscape
from resnet_viz.lessons.matching import Matched
from resnet_viz.lessons.matching import run as match
from resnet_viz.lessons.residual_image import ResidualImage, residual_image
from resnet_viz.lessons.shattered_gradients import Autocorrelation, shattered_gradients
from resnet_viz.lessons.signal import SignalThroughDepth, wave
from resnet_viz.lessons.signal import run as through_depth
from resnet_viz.lessons.super_resolution import Problem, problem
from resnet_viz.lessons.super_resolution_pictures import Attempts, super_resolve
from resnet_viz.lessons.super_resolution_training import Trials, train_all
from resnet_viz.lessons.toy import ToyFit, fit
from resnet_viz.nets.checkpoints.loading import Checkpoint
from resnet_viz.nets.checkpoints.verdicts import Verdict
from resnet_viz.nets.net import Net
from resnet_viz.nets.zoo import CIFAR_PREPROCESSING
from resnet_viz.progress import OnPartial


@dataclass(frozen=True, eq=False)
class Task:
    """A job with everything that it needs; `ask` returns the answer of another job that this one needs first.

    `checkpoint` is the one that a job is to decide about; None for every other job.
    """

    job: Job
    open_net: Callable[[], Net]
    open_picture: Callable[[], Image.Image]
    report: OnPartial[Array]
    ask: Callable[[Job], Any]
    open_bytes: Callable[[bytes], Image.Image] = open_image
    checkpoint: Checkpoint | None = None

    @cached_property
    def net(self) -> Net:
        """The network, loaded when it is needed."""
        return self.open_net()

    @cached_property
    def image(self) -> Image.Image:
        """The image, checked when it is needed."""
        return self.open_picture()

    def step(self, done: int, total: int) -> None:
        """Report without a partial result."""
        self.report(done, total, None)


@dataclass(frozen=True)
class JobType:
    """A type of job.

    `run` computes the answer, `run_batch` the answers of several jobs on one network in one pass. `whole` is the job with the
    answer that contains this one's; `cut` extracts it, or returns None if it was dropped; `slim` drops rarely needed parts from
    an answer that is too large to be kept whole.
    """

    run: Callable[[Task], Any]
    run_batch: Callable[[Sequence[Task]], list[Any]] | None = None
    whole: Callable[[Job], Job] = lambda job: job
    cut: Callable[[Any, Job], Any] = lambda answer, _: answer
    slim: Callable[[Any, Job], Any] = lambda answer, _: answer

    @property
    def answer(self) -> Any:  # noqa: ANN401 - a type
        """The type of the answer, from the annotation of `run`."""
        return get_type_hints(self.run)["return"]


def _inspect(task: Task) -> Inspection:
    return inspect(task.net, task.image, task.job.target, on_block=task.step)


def _inspect_batch(tasks: Sequence[Task]) -> list[Inspection]:
    def step(done: int, total: int) -> None:
        for task in tasks:
            task.step(done, total)

    return inspect_batch(
        tasks[0].net, (task.open_picture() for task in tasks), [task.job.target for task in tasks], on_block=step
    )


def _without_block(job: Job) -> Job:
    return replace(job, options=job.without("block"))


def _shown(answer: Inspection, job: Job) -> str:
    """The requested block, or the one that changes its input most."""
    block = str(job.option("block") or "")
    return block if block in {inspected.name for inspected in answer.blocks} else answer.most_changed()


def _with_one_block(answer: Inspection, job: Job) -> Inspection:
    return answer.keeping(_shown(answer, job))


def _block_if_kept(answer: Inspection, job: Job) -> Inspection | None:
    return None if answer.block(_shown(answer, job)).maps is None else _with_one_block(answer, job)


def _gradients(task: Task) -> Gradients:
    return gradients(task.net, task.image, task.job.target, **dict(task.job.options))  # type: ignore[arg-type]  # checked there


def _attribution(task: Task) -> Attribution:
    return attribute(task.net, task.image, target=task.job.target, on_progress=task.report, **dict(task.job.options))  # type: ignore[arg-type]  # checked there


def _conductance(task: Task) -> Conductance:
    options = dict(task.job.options)
    return conductance(task.net, task.image, task.job.target, on_point=task.step, **options)  # type: ignore[arg-type]  # checked there


def _perturbation(task: Task) -> trust.Perturbation:
    return trust.perturbation(task.net, task.image, _found(task), on_step=task.step)


def _randomisation(task: Task) -> trust.Randomised:
    return trust.randomisation(task.net, task.image, _found(task), on_step=task.step)


def _robustness(task: Task) -> trust.Robustness:
    return trust.robustness(task.net, task.image, _found(task), on_step=task.step)


def _ablation(task: Task) -> Ablation:
    """The options are names of blocks with their scales."""
    scales = {name: scale for name, scale in task.job.options if isinstance(scale, int | float)}
    return ablate(task.net, task.image, scales)


def _ablation_sweep(task: Task) -> AblationSweep:
    return sweep(task.net, task.image, task.job.target, on_block=task.step)


def _lens(task: Task) -> Lens:
    return lens(task.net, task.image, on_block=task.step)


def _archive(task: Task) -> bytes:
    """The data of a job about several images: a ZIP archive of them. Its answer is kept under their digest."""
    if digest(task.job.data) != task.job.image:
        raise EngineError("The images were damaged on their way. Reload the page.")
    return task.job.data


def _survey(task: Task) -> SurveyedPart:
    strongest = int(str(task.job.option("strongest") or 0))
    return survey_part(task.net, _archive(task), strongest=strongest, opener=task.open_bytes, on_image=task.step)


def _accuracy(task: Task) -> Accuracy:
    """The option is the index of each image's class."""
    indices = [int(index) for index in str(task.job.option("labels") or "").split(",") if index]
    return accuracy_of_archive(task.net, _archive(task), indices, opener=task.open_bytes, on_image=task.step)


def _verdict(task: Task) -> Verdict:
    if task.checkpoint is None:
        raise EngineError("The checkpoint is not in the memory of this process: upload it again.")
    return task.checkpoint.decide(on_step=task.step)


def _place_fields(task: Task) -> PlaceFields:
    return place_fields(task.net, str(task.job.option("block")))


def _weights_digest(task: Task) -> WeightsDigest:
    return weights_digest(task.net)


def _passage(task: Task) -> Passage:
    return passage(task.net, task.image, on_block=task.step)


def _walk(task: Task) -> Walk:
    return walk(task.net, task.image, str(task.job.option("block")))


def _block_code(task: Task) -> BlockCode:
    return block_code(task.net, task.image, str(task.job.option("block")))


def _orders(task: Task) -> Orders:
    return orders(task.net, task.image)


def _signal(task: Task) -> SignalThroughDepth:
    """Send the image through if there is one, else the wave."""
    options = dict(task.job.options)
    if not task.job.image:
        return through_depth("wave", wave(), on_step=task.step, **options)  # type: ignore[arg-type]  # checked there
    signal = CIFAR_PREPROCESSING.tensor(task.image)[0]
    return through_depth("picture", signal, on_step=task.step, **options)  # type: ignore[arg-type]  # checked there


def _matched(task: Task) -> Matched:
    return match(task.net, task.image, str(task.job.option("source")), on_step=task.step)


def _problem(task: Task) -> Problem:
    return problem(task.image, **dict(task.job.options))  # type: ignore[arg-type]  # checked there


def _residual_image(task: Task) -> ResidualImage:
    return residual_image(task.image, **dict(task.job.options))  # type: ignore[arg-type]  # checked there


def _super_resolution(task: Task) -> Attempts:
    return super_resolve(task.image, on_network=task.step, **dict(task.job.options))  # type: ignore[arg-type]  # checked there


def _super_resolution_training(task: Task) -> Trials:
    return train_all(on_step=task.report, **dict(task.job.options))  # type: ignore[arg-type]  # checked there


def _toy(task: Task) -> ToyFit:
    return fit(on_step=task.report, **dict(task.job.options))  # type: ignore[arg-type]  # checked there


def _path_lengths(task: Task) -> PathLengths:
    """Without the coefficients, which are as large as the input of the first block for every block."""
    return path_gradients(task.net, task.image, task.job.target, on_block=task.step).lengths


def _path_samples(task: Task) -> PathSamples:
    options = dict(task.job.options)
    return path_samples(task.net, task.image, task.job.target, on_length=task.step, **options)  # type: ignore[arg-type]  # checked there


def _deletions(task: Task) -> Deletions:
    options = dict(task.job.options)
    return deletions(task.net, task.image, task.job.target, on_pass=task.step, **options)  # type: ignore[arg-type]  # checked there


def _receptive_fields(task: Task) -> ReceptiveFields:
    return receptive_fields(task.net, task.image, on_block=task.step)


def _refinement(task: Task) -> Refinement:
    return refinement(task.net, task.image, task.job.target, on_pass=task.step)


def _refinement_survey(task: Task) -> RefinementSurvey:
    def told(progress: SurveyProgress) -> None:
        task.step(progress.done, progress.total or 0)

    return refinement_survey(task.net, _archive(task), opener=task.open_bytes, on_progress=told)


def _shattered_gradients(task: Task) -> Autocorrelation:
    return shattered_gradients(task.net, task.image, task.job.target, on_pass=task.step)


def _loss_landscape(task: Task) -> Landscape:
    options = dict(task.job.options)
    return loss_landscape(task.net, task.image, task.job.target, on_point=task.report, **options)  # type: ignore[arg-type]  # checked there


def _found(task: Task) -> Attribution:
    """The attribution with the same options, which is what these jobs evaluate."""
    found: Attribution = task.ask(replace(task.job, kind="attribution"))
    return found


JOB_TYPES: dict[str, JobType] = {
    "inspection": JobType(_inspect, _inspect_batch, _without_block, _block_if_kept, _with_one_block),
    "gradients": JobType(_gradients),
    "attribution": JobType(_attribution),
    "conductance": JobType(_conductance),
    "perturbation": JobType(_perturbation),
    "randomisation": JobType(_randomisation),
    "robustness": JobType(_robustness),
    "ablation": JobType(_ablation),
    "ablation sweep": JobType(_ablation_sweep),
    "lens": JobType(_lens),
    "path lengths": JobType(_path_lengths),
    "path samples": JobType(_path_samples),
    "deletions": JobType(_deletions),
    "receptive fields": JobType(_receptive_fields),
    "refinement": JobType(_refinement),
    "refinement survey": JobType(_refinement_survey),
    "shattered gradients": JobType(_shattered_gradients),
    "loss landscape": JobType(_loss_landscape),
    "survey": JobType(_survey),
    "accuracy": JobType(_accuracy),
    "verdict": JobType(_verdict),
    "place fields": JobType(_place_fields),
    "weights digest": JobType(_weights_digest),
    "passage": JobType(_passage),
    "walk": JobType(_walk),
    "block code": JobType(_block_code),
    "orders": JobType(_orders),
    "signal": JobType(_signal),
    "matched": JobType(_matched),
    "problem": JobType(_problem),
    "residual image": JobType(_residual_image),
    "super-resolution": JobType(_super_resolution),
    "super-resolution training": JobType(_super_resolution_training),
    "toy": JobType(_toy),
}
