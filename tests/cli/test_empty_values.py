"""An empty value is a usage error for every option and argument of every verb, before anything is read."""

import os
from pathlib import Path

import click
import pytest

import bundlekit
from bundlekit.cli import command, run
from bundlekit.errors import TrustError, UnreadableError
from fixtures import forge

BLANKS = ["", " ", "\t \n"]


def commands(group=command, words=()):
    """Every command that has parameters of its own, with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        one = group.get_command(context, name)
        yield (*words, name), one
        if isinstance(one, click.Group):
            yield from commands(one, (*words, name))


def cases():
    """The words up to a parameter that takes a value, and the parameter."""
    for words, one in commands():
        arguments = [param for param in one.params if isinstance(param, click.Argument)]
        for param in one.params:
            if isinstance(param, click.Argument):
                yield (*words, *["x"] * arguments.index(param)), param
            elif not (param.is_flag or param.count):
                for spelling in param.opts:
                    yield (*words, spelling), param


CASES = list(cases())


def test_every_verb_is_among_them():
    assert len(CASES) > 150
    assert {words[0] for words, _ in CASES} >= {"check", "preflight", "extract", "path", "trust", "matrix", "update"}


@pytest.mark.parametrize(("words", "param"), CASES, ids=[f"{' '.join(w)}-{p.human_readable_name}" for w, p in CASES])
def test_an_empty_value_is_a_usage_error_that_names_the_parameter(words, param, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for blank in BLANKS:
        assert run([*words, blank]) == 2
        said = capsys.readouterr()
        assert param.get_error_hint(click.Context(command)) in said.err
        assert "the value is empty" in said.err
        assert said.out == ""
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("verb", ["check", "preflight", "extract --head -o out"])
def test_an_unset_variable_trusts_no_ca_of_the_current_folder(verb, tmp_path, monkeypatch, capsys):
    (tmp_path / "ca.pem").write_bytes((forge.KEYS / "trust" / "root.pem").read_bytes())
    (tmp_path / "update.bin").write_bytes(forge.good())
    monkeypatch.chdir(tmp_path)
    words = verb.split()
    for trust in (
        ["--trust", ""],
        ["--trust="],
        ["--trust", "ca.pem", "--trust", ""],
        ["--trust", "", "--trust", "ca.pem"],
    ):
        assert run([words[0], "update.bin", *words[1:], *trust]) == 2
        assert "'--trust'" in capsys.readouterr().err
    assert not Path("out").exists()


def test_variables_that_click_reads_are_looked_at_too(monkeypatch, capsys):
    from bundlekit.cli.verbs import CliVerb

    @click.command(cls=CliVerb)
    @click.option("--some", envvar="BUNDLEKIT_SOME")
    def example(some):
        del some

    monkeypatch.setenv("BUNDLEKIT_SOME", "")
    with pytest.raises(click.BadParameter, match="the value is empty"):
        example.main([], standalone_mode=False)


def test_the_library_takes_no_empty_path(tmp_path, monkeypatch):
    (tmp_path / "ca.pem").write_bytes((forge.KEYS / "trust" / "root.pem").read_bytes())
    monkeypatch.chdir(tmp_path)
    for nothing in ("", " ", Path(), [""], [Path("")], ["ca.pem", ""], [Path("ca.pem"), Path("")]):
        with pytest.raises(TrustError, match="empty"):
            bundlekit.load_trust(nothing)
    for call in (bundlekit.check, bundlekit.preflight, bundlekit.inspect):
        for nothing in ("", Path("")):
            with pytest.raises(UnreadableError):
                call(nothing)
