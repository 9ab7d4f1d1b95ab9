"""What is found: a pass, a rule's application, an operation, and the value that is another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from furiosa_ir.debugging.applications import RuleApplication, place_of_rule
from furiosa_ir.debugging.change import Change
from furiosa_ir.errors import readable
from furiosa_ir.ir.passes import Pass

_WIDTH = 240
"""Characters of an operation's text in a message."""


@dataclass(frozen=True)
class Finding:
    """The first pass that changes a value.

    Attributes:
        what: the pass.
        change: the value.
        application: of a rule; None where the pass rewrites by hand.
        total: applications that the pass makes.
        inputs: how many were to be run.
    """

    what: Pass
    change: Change
    application: RuleApplication | None
    total: int
    inputs: int

    @property
    def rule(self) -> str | None:
        """The rule's name."""
        return None if self.application is None else self.application.rule

    @property
    def layer(self) -> str:
        """The layer of the rule's root, else of the value that is another."""
        own = "" if self.application is None else self.application.layer
        return own or self.change.layer

    @property
    def sentence(self) -> str:
        """All of it in one sentence."""
        by = f", by the rule '{self.rule}'" if self.rule else ""
        return f"the pass '{self.what.name}' changes a value{by}: {self.change.sentence}"

    def lines(self) -> list[str]:
        """All of it, for people."""
        change, application = self.change, self.application
        found = [("pass", str(self.what.spec()))]
        if application is None:
            by_hand = "none: the pass rewrites by hand"
            found += [("rule", change.rule or by_hand), ("layer", change.layer or "(unnamed)")]
        else:
            place = place_of_rule(self.what, application.rule)
            at = f" ({place})" if place else ""
            count = f", application {application.number} of {self.total}"
            found += [
                ("rule", f"{application.rule}{at}{count if application.number else ''}"),
                ("layer", application.layer or "(unnamed)"),
                ("operation", application.operation),
                *(("becomes", text) for text in application.made),
            ]
        shown = {text for _, text in found}
        if not set(change.layer.split("+")) & set(self.layer.split("+")):
            found.append(("changes", change.layer))
        found += [
            (name, text)
            for name, text in (("before", change.before), ("after", change.after))
            if text and text not in shown
        ]
        on = f"input {change.on.number} of {self.inputs} ({change.on.kind})"
        found.append(("value", f"{change.sentence}, on {on}"))
        return [f"{name:<10} {readable(text, _WIDTH)}" for name, text in found]

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        change, application = self.change, self.application
        return {
            "pass": str(self.what.spec()),
            "rule": self.rule,
            "place": place_of_rule(self.what, self.rule) if self.rule else None,
            "application": None if application is None else application.number,
            "applications": self.total,
            "layer": self.layer,
            "operation": change.before if application is None else application.operation,
            "becomes": [change.after] if application is None else list(application.made),
            "index": None if change.index is None else list(change.index),
            "got": _number(change.got),
            "want": _number(change.want),
            "share": change.share,
            "message": change.sentence,
            "input": {"number": change.on.number, "kind": change.on.kind},
        }


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
