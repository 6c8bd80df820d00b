"""The documentation that ships with the package: pages, and a page for each rule made from the rule itself."""

from __future__ import annotations

from importlib import resources

from bundlekit.checks import RULES
from bundlekit.matrix.lint import LINTS


def topics() -> dict[str, str]:
    """Every topic with its title: the pages first, then the rules by name."""
    pages = {
        entry.name.removesuffix(".md"): _title(entry.read_text(encoding="utf-8"))
        for entry in resources.files(__package__).iterdir()
        if entry.name.endswith(".md")
    }
    rules = {rule.name: rule.page.partition("\n")[0] for rule in (*RULES, *LINTS)}
    return dict(sorted(pages.items())) | dict(sorted(rules.items()))


def page(topic: str) -> str:
    """The text of one topic; KeyError if there is none."""
    for rule in RULES:
        if rule.name == topic:
            facts = f"Class: {rule.rule_class}. Severity: {rule.severity}. Cause reported: {rule.cause}."
            return f"# {rule.name}\n\n{rule.page}\n\n{facts}\n\nWhat to do: {rule.remedy}\n\nSee also: {rule.see}\n"
    for lint in LINTS:
        if lint.name == topic:
            facts = f"A rule of `bundlekit matrix lint`. Severity: {lint.severity}."
            return f"# {lint.name}\n\n{lint.page}\n\n{facts}\n\nWhat to do: {lint.remedy}\n\nSee also: matrix\n"
    file = resources.files(__package__) / f"{topic}.md"
    if not file.is_file():
        raise KeyError(topic)
    return file.read_text(encoding="utf-8")


def _title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ")
