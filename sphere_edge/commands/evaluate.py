"""`sphere-edge eval`: says what a bundle's quantization costs against its source."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import console
from sphere_edge.bundle.amend import record_quality
from sphere_edge.bundle.read import is_bundle
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.evaluation import report
from sphere_edge.evaluation.evaluate import EvaluationRequest
from sphere_edge.evaluation.evaluate import evaluate as run


def evaluate(request: EvaluationRequest, *, plot: Path | None, record: bool, as_json: bool) -> None:
    """Prints perplexity of both, KL divergence and agreement; see docs/quality.md."""
    if plot is not None:
        report.check(plot)
    if record and not (request.model.is_dir() and is_bundle(request.model)):
        message = f"nothing can be recorded in `{request.model}`"
        raise InvalidArgumentError(message, hint="--record needs the folder of a bundle")
    found = run(request, console.progress())
    compared = found.comparison
    if plot is not None:
        report.plot(compared, plot)
        console.say(f"plot: {plot}")
    if record:
        manifest = record_quality(request.model, compared.summary(found.text))
        console.say(f"recorded: the bundle's id is now {manifest.id}")
    if as_json:
        console.write_json(compared.as_json())
        return
    count = len(compared.each.divergence)
    console.say(f"{compared.candidate} against {compared.reference}, {count} predictions")
    console.write_table(report.COLUMNS, report.rows(compared))
