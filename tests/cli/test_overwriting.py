"""No verb writes its output over what it reads, under whatever name and by whatever way it comes to read it."""

from pathlib import Path

import click
import pytest

from bundlekit.cli import command
from bundlekit.cli.parameters import path_type

TRUST = ("--trust", "keys/root.pem")
SIGN = ("--cert", "keys/signer.pem", "--key", "keys/signer.key")
WRITTEN = ("output", "vsa")
IN_PLACE = {("update state", "appliance")}  # an older state, to be brought up to date


def commands(group, *path):
    """Every command below a group, with the words that call it."""
    for name in group.list_commands(click.Context(group)):
        one = group.get_command(click.Context(group), name)
        if isinstance(one, click.Group):
            yield from commands(one, *path, name)
        else:
            yield (*path, name), one


def reading():
    """Words of a command with ``--output``, and each parameter of it that is a path to read."""
    for words, one in commands(command):
        if any("-o" in parameter.opts for parameter in one.params):
            for parameter in one.params:
                in_place = (" ".join(words), parameter.name) in IN_PLACE
                if isinstance(parameter.type, click.Path) and parameter.name not in WRITTEN and not in_place:
                    yield pytest.param(words, one, parameter, id=f"{' '.join(words)} {parameter.opts[0]}")


def given(parameter, value):
    return (parameter.opts[0], value) if isinstance(parameter, click.Option) else (value,)


@pytest.mark.parametrize(("words", "one", "parameter"), list(reading()))
def test_whatever_a_verb_reads_it_does_not_write_over(cli, tmp_path, monkeypatch, words, one, parameter):
    monkeypatch.chdir(tmp_path)
    text = f"{'config' if parameter.name == 'project' else 'waivers'} = 1\n"
    Path("read").write_text(text)
    args = [word for need in one.params if need.required and need.name != "output" for word in given(need, "other")]
    if parameter.required:
        args = ["read" if word == "other" else word for word in args]
    else:
        args += given(parameter, "read")
    result = cli(*words, *args, "-o", "read")
    assert result.code == 2, result
    assert "--output read is also an input; nothing was written" in result.err
    assert Path("read").read_text() == text


def test_every_path_of_a_verb_with_an_output_is_noticed():
    for words, one in commands(command):
        output = [parameter.name for parameter in one.params if "-o" in parameter.opts]
        if output:
            assert output == ["output"], words
            paths = [parameter for parameter in one.params if isinstance(parameter.type, click.Path)]
            assert all(isinstance(parameter.type, type(path_type)) for parameter in paths), words


@pytest.mark.parametrize(
    "args",
    [
        ("build", "SPEC.toml", "-o", "matrix.toml"),
        ("build", "SPEC.toml", "-o", "out/im200.img"),
        ("build", "SPEC.toml", *SIGN, "-o", "keys/signer.key"),
        ("path", ".", *TRUST, "--from", "5.30.02", "--to", "5.40.00", "-o", "update.bin"),
        ("path", "--catalog", "cat", *TRUST, "--from", "5.30.02", "--to", "5.40.00", "-o", "cat/catalog.json"),
        ("path", "cat", "--from", "5.30.02", "--to", "5.40.00", "-o", "cat/HEAD"),
        ("path", "update.bin", *TRUST, "--from", "5.30.02", "--to", "5.40.00", "-o", "keys/../linked.bin"),
        ("check", "update.bin", "--trust", "trusted", "-o", "trusted/root.pem"),
        ("check", "update.bin", "--trust", "trust.toml", "-o", "trusted/root.pem"),
        ("check", "update.bin", "--trust", "trust.toml", "-o", "denied.txt"),
        ("check", "update.bin", "--trust", "trust.toml", "--vsa", "denied.txt"),
        ("preflight", "update.bin", "--trust", "trusted", "-o", "trusted/root.pem"),
        ("extract", "update.bin", "storage", "--trust", "trust.toml", "-o", "trusted/root.pem"),
        ("matrix", "export", ".", *TRUST, "-o", "update.bin"),
    ],
    ids=" ".join,
)
def test_nor_over_what_that_leads_to(cli, desk, args):
    Path("trusted").mkdir()
    Path("trusted/root.pem").write_bytes(Path("keys/root.pem").read_bytes())
    Path("linked.bin").hardlink_to("update.bin")
    Path("denied.txt").write_text("")
    Path("trust.toml").write_text(
        'trust = 1\ndeny = ["denied.txt"]\nsigners.us = { role = "production", anchor = "trusted/root.pem" }\n'
    )
    assert cli("catalog", "add", "cat", "update.bin").code == 0
    args = [arg.replace("HEAD", next(Path("cat").glob("*.head")).name) for arg in args]
    before = Path(args[-1]).read_bytes()
    result = cli(*args)
    assert (result.code, Path(args[-1]).read_bytes()) == (2, before), result
    option = "--output" if args[-2] == "-o" else args[-2]
    assert f"{option} {args[-1]} is also an input; nothing was written" in result.err


def test_a_report_may_lie_beside_what_is_read_and_be_replaced(cli, desk):
    args = ("--from", "5.30.02", "--to", "5.40.00", "-o", "path.json")
    for _ in range(2):
        assert cli("path", ".", *TRUST, *args).code in (0, 1)
    for _ in range(2):
        assert cli("build", "SPEC.toml", "-o", "update.bin", *SIGN).code == 0
