"""What a reader should know of a model although no rule of it broke: other layers, a layer without a gradient."""

from collections.abc import Collection, Iterator, Sequence

from erfscope.gate.answers import Outcome
from erfscope.gate.cache import Answer
from erfscope.gate.explain import Explainer, Key
from erfscope.gate.findings import Finding, Note, Verdict
from erfscope.gate.mends import UPDATE

DEAD = "its gradient"  # how the engine's reasons begin if a layer has no gradient that could be measured


def of_changes(findings: Sequence[Finding], explainer: Explainer, watched: Collection[Key]) -> Iterator[Note]:
    """Models with other layers than the baseline's, of which no finding tells that: a reader would not learn of it.

    Only those that are `watched` for drift.
    """
    done = {finding.model for finding in findings if finding.change or finding.verdict is Verdict.BROKEN}
    for key, question in explainer.questions.items():
        entry, (_, model) = explainer.entry(key), key
        if key not in watched or model in done or entry is None or entry.question in ("", question.digest):
            continue
        if change := explainer(key).change:
            done.add(model)
            yield Note(
                model,
                f"Its input or layers differ from the baseline's, and no drift rule broke: {change} If this is meant, "
                f"run `{UPDATE}` and commit the file.",
            )


def of_dead_layers(outcomes: Sequence[tuple[str, Outcome]], findings: Sequence[Finding]) -> Iterator[Note]:
    """For each model the layers that `auto` did not take, because they have no gradient, if no finding names them."""
    broken = {(finding.model, finding.expected) for finding in findings}
    for model, outcome in outcomes:
        if not isinstance(outcome, Answer):
            continue
        layer = outcome.result.layer
        dead = [passed for passed in layer.passed_over if passed.why.startswith(DEAD)]
        if dead and not any((model, f"layer {passed.name}") in broken for passed in dead):
            names = ", ".join(passed.name for passed in dead)
            yield Note(
                model,
                f"auto passed over {names}: {dead[0].why}. The numbers are those of layer {layer.name}. Mend "
                "the model, or name the layer that is meant (layer = …).",
            )
