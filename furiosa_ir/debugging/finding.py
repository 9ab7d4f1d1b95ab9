"""What is found: a pass, a rule's application, an operation, and the value that is another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from furiosa_ir.debugging.applications import Found, RuleApplication, place_of_rule
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
        is_repeatable: whether the pass does the same each time it runs.
        of_part: whether a part of the module shows it, on inputs of its own, and the whole does
            not.
    """

    what: Pass
    change: Change
    application: RuleApplication | None
    total: int
    inputs: int
    is_repeatable: bool = True
    of_part: bool = False

    @classmethod
    def of(cls, what: Pass, found: Found, inputs: int) -> Finding:
        """What the search within a pass has found.

        Args:
            what: the pass.
            found: the application, if it is one.
            inputs: how many were to be run.
        """
        return cls(what, found.change, found.application, found.total, inputs, found.is_repeatable)

    @property
    def rule(self) -> str | None:
        """The rule's name."""
        if self.application is not None:
            return self.application.rule
        maker = self.change.maker  # a pass in front may have made what this one changes by hand
        return maker.rule if maker is not None and maker.pass_name == self.what.name else None

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
            rule = self._rule_and_place() or "none: the pass rewrites by hand"
            found += [("rule", rule), ("layer", change.layer or "(unnamed)")]
        else:
            count = f", application {application.number} of {self.total}"
            found += [
                ("rule", f"{self._rule_and_place()}{count if application.number else ''}"),
                ("layer", application.layer or "(unnamed)"),
                ("operation", application.operation),
                *(("becomes", text) for text in application.made),
            ]
        if not self.is_repeatable:
            found.append(("note", "the pass does something else each time it runs"))
        if self.of_part:
            found.append(("note", "a part of the module shows it, on inputs of its own"))
        shown = {text for _, text in found}
        if not set(change.layer.split("+")) & set(self.layer.split("+")):
            found.append(("changes", change.layer))
        found += [
            (name, text)
            for name, text in (("before", change.before), ("after", change.after))
            if text and text not in shown
        ]
        if change.operand:
            found.append(("constant", change.operand))
        on = f"input {change.on.number} of {self.inputs} ({change.on.kind})"
        found.append(("value", f"{change.sentence}, on {on}"))
        return [f"{name:<10} {readable(text, _WIDTH)}" for name, text in found]

    def _rule_and_place(self) -> str | None:
        if self.rule is None:
            return None
        place = place_of_rule(self.what, self.rule)
        return f"{self.rule} ({place})" if place else self.rule

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        change, application = self.change, self.application
        made = application.made if application is not None else filter(None, [change.after])
        return {
            "pass": str(self.what.spec()),
            "rule": self.rule,
            "place": place_of_rule(self.what, self.rule) if self.rule else None,
            "application": None if application is None else application.number,
            "applications": self.total,
            "layer": self.layer,
            "operation": change.before if application is None else application.operation,
            "becomes": list(made),
            "constant": change.operand or None,
            "repeatable": self.is_repeatable,
            "of_part": self.of_part,
            "index": None if change.index is None else list(change.index),
            "got": _number(change.got),
            "want": _number(change.want),
            "share": change.share,
            "message": change.sentence,
            "input": {"number": change.on.number, "kind": change.on.kind},
        }


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
