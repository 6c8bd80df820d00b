"""The documentation that ships with the package: pages, and a page for each rule made from the rule itself."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from bundlekit.checks import RULES
from bundlekit.docs import api, words
from bundlekit.matrix.lint import LINTS

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from bundlekit.model.rule import NamedRule


def topics() -> dict[str, str]:
    """Every topic with its title: the pages first, then the rules by name."""
    pages = {
        entry.name.removesuffix(".md"): _title(entry.read_text(encoding="utf-8"))
        for entry in resources.files(__package__).iterdir()
        if entry.name.endswith(".md")
    }
    pages[api.TOPIC] = api.TITLE
    named: tuple[NamedRule, ...] = (*RULES, *LINTS)
    rules = {rule.name: rule.page.partition("\n")[0] for rule in named}
    return dict(sorted(pages.items())) | dict(sorted(rules.items()))


def words_known() -> frozenset[str]:
    """Every word of a report that `page` explains in addition to the topics."""
    return frozenset(sense.word for sense in words.senses(_text))


def api_known() -> frozenset[str]:
    """Every public name of the Python API as a topic, ``api.NAME``, that `page` explains in addition to the topics."""
    return frozenset(api.topics())


def page(topic: str) -> str:
    """The text of one topic, or the meanings of a word of the reports, or both; KeyError if there is none."""
    if topic == api.TOPIC or topic in api.topics():
        return api.page(topic)
    found = _rule(topic) or (_text(topic) if _file(topic).is_file() else "")
    senses = [sense for sense in words.senses(_text) if sense.word == topic]
    if not (found or senses):
        raise KeyError(topic)
    lines = [f"{sense.kind}: {sense.meaning}. See also: {sense.page}." for sense in senses]
    return "\n\n".join([found.rstrip("\n") or f"# {topic}", *lines]) + "\n"


def _rule(name: str) -> str:
    for rule in RULES:
        if rule.name == name:
            facts = f"Class: {rule.rule_class}. Severity: {rule.severity}. Cause reported: {rule.cause}."
            return f"# {rule.name}\n\n{rule.page}\n\n{facts}\n\nWhat to do: {rule.remedy}\n\nSee also: {rule.see}\n"
    for lint in LINTS:
        if lint.name == name:
            facts = f"A rule of `bundlekit matrix lint`. Severity: {lint.severity}."
            return f"# {lint.name}\n\n{lint.page}\n\n{facts}\n\nWhat to do: {lint.remedy}\n\nSee also: matrix\n"
    return ""


def _file(name: str) -> Traversable:
    return resources.files(__package__) / f"{name}.md"


def _text(name: str) -> str:
    return _file(name).read_text(encoding="utf-8")


def _title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ")
