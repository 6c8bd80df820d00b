"""The help of every command and option is a whole sentence: it begins with a verb, and ends with a stop."""

import re

import click
import pytest

from bundlekit.cli import VERBS, command

IMPERATIVE = re.compile(
    r"(?:"
    r"Accept|Add|Allow|Apply|Approve|Ask|Assume|Bring|Build|Check|Choose|Compare|Continue|"
    r"Create|Do|Examine|Exit|Explain|Export|Extract|Find|Finish|Inject|Keep|List|Make|"
    r"Manage|Name|Print|Record|Reject|Release|Remove|Replace|Require|Reserve|Restrict|Retry|Run|Set|Show|"
    r"Sign|Simulate|Start|Stop|Take|Treat|Trust|Try|Update|Use|Validate|Waive|Warn|Write"
    r") "
)


def walk(one, context):
    yield context.command_path, one
    if isinstance(one, click.Group):
        for name in one.list_commands(context):
            child = one.get_command(context, name)
            yield from walk(child, click.Context(child, info_name=name, parent=context))


COMMANDS = dict(walk(command, click.Context(command, info_name="bundlekit", **command.context_settings)))
OPTIONS = {
    f"{path} {option.opts[0]}": option.help
    for path, one in COMMANDS.items()
    for option in one.params
    if isinstance(option, click.Option)
}


def assert_is_a_sentence(text):
    assert text
    assert text.endswith("."), text
    assert IMPERATIVE.match(text), text
    assert len(max(re.split(r"[.:;] ", text), key=len).split()) <= 25, text


@pytest.mark.parametrize("path", COMMANDS)
def test_the_help_of_a_command_begins_with_a_whole_sentence(path):
    one = COMMANDS[path]
    assert_is_a_sentence(" ".join(one.help.split("\n\n")[0].split()))
    assert one.get_short_help_str(limit=1000).endswith(".")


@pytest.mark.parametrize("name", OPTIONS)
def test_the_help_of_an_option_is_a_whole_sentence(name):
    assert_is_a_sentence(OPTIONS[name])


@pytest.mark.parametrize("verb", VERBS)
def test_the_list_of_verbs_has_whole_sentences(verb):
    assert_is_a_sentence(VERBS[verb])


MULTIPLE = {
    f"{path} {option.opts[0]}": option
    for path, one in COMMANDS.items()
    for option in one.params
    if isinstance(option, click.Option)
}


@pytest.mark.parametrize("name", MULTIPLE)
def test_an_option_that_can_be_repeated_states_it(name):
    option = MULTIPLE[name]
    assert ("can be repeated" in option.help.lower()) == option.multiple
