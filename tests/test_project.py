"""The project file: where it is looked for, how it is read, and what each mistake is called."""

import datetime as dt
import os
from pathlib import Path

import pytest

from bundlekit import project, toml
from bundlekit.checks import waivers
from bundlekit.errors import ConfigError
from bundlekit.model.project import ProjectFile
from bundlekit.request import NOTHING_ASKED
from fixtures.make_demo import DEMO

LEAST = "config = 1\n"
PYPROJECT = "[project]\nname = 'x'\n[tool.bundlekit]\nconfig = 1\n"


@pytest.fixture
def tree(tmp_path):
    """A repository with two folders, in a folder that is none."""
    (tmp_path / "outer/repository/inner/deep").mkdir(parents=True)
    (tmp_path / "outer/repository/.git").mkdir()
    return tmp_path / "outer"


@pytest.mark.parametrize(
    ("files", "start", "found"),
    [
        ({}, "repository", None),
        ({"repository/bundlekit.toml": LEAST}, "repository", "bundlekit.toml"),
        ({"repository/bundlekit.toml": LEAST}, "repository/inner/deep", "../../bundlekit.toml"),
        ({"repository/pyproject.toml": PYPROJECT}, "repository/inner", "../pyproject.toml"),
        (
            {"repository/bundlekit.toml": LEAST, "repository/inner/bundlekit.toml": LEAST},
            "repository/inner/deep",
            "../bundlekit.toml",
        ),
        ({"bundlekit.toml": LEAST}, "repository", None),
        ({"repository/pyproject.toml": "[project]\nname = 'bundlekit-tool'\n"}, "repository", None),
        ({"repository/pyproject.toml": "this is no TOML"}, "repository", None),
        ({"bundlekit.toml": LEAST}, ".", "bundlekit.toml"),
        ({"../bundlekit.toml": LEAST}, ".", None),
    ],
)
def test_the_file_is_found_up_to_the_root_of_the_repository(tree, files, start, found):
    for name, text in files.items():
        (tree / name).write_text(text)
    assert project.find(tree / start) == (Path(found) if found else None)


FORMS = [
    "[tool.bundlekit]\nconfig = 1\n",
    "[ tool . 'bundlekit' ]\nconfig = 1\n",
    "[tool]\nbundlekit.config = 1\n",
    "[tool]\nbundlekit = { config = 1 }\n",
    "tool.bundlekit.config = 1\n",
    "tool = { bundlekit = { config = 1 } }\n",
    '["tool".bundlekit]\nconfig = 1\n',
]


@pytest.mark.parametrize("text", FORMS)
def test_the_table_is_found_however_it_is_written(tree, text):
    (tree / "repository/pyproject.toml").write_text(text)
    assert project.find(tree / "repository") == Path("pyproject.toml")
    assert project.load(tree / "repository/pyproject.toml").file.config == 1


def test_two_files_in_one_folder_contradict(tree):
    (tree / "repository/bundlekit.toml").write_text(LEAST)
    (tree / "repository/pyproject.toml").write_text(PYPROJECT)
    with pytest.raises(ConfigError, match=r"both bundlekit.toml and \[tool.bundlekit\]"):
        project.find(tree / "repository")


def test_a_file_that_all_users_can_change_is_used(tree):
    """As the runner of GitLab checks it out in a container."""
    file = tree / "repository/bundlekit.toml"
    file.write_text(LEAST)
    file.chmod(0o666)
    assert project.find(tree / "repository") == Path("bundlekit.toml")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_an_error_unless_the_folder_is_theirs_too(tree):
    file = tree / "repository/bundlekit.toml"
    file.write_text(LEAST)
    os.chown(file, 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to another user"):
        project.find(tree / "repository/inner")
    os.chown(tree / "repository/inner", 12345, 12345)
    assert project.find(tree / "repository/inner") == Path("../bundlekit.toml")


GOOD = """\
config = 1
trust = [
  "keys/trust.toml",  # a comment
]
from = ["1.5.0"]
outputs = ["reports/junit.xml"]
[rules]
matrix-lint = "error"
[[waive]]
rule = "matrix-lint"
reason = 'a word'
expires = 2030-01-01
[[waive]]
rule = "impact-not-said"
reason = "told by telephone"
expires = 2020-01-01
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.setattr(waivers, "_today", lambda: dt.date(2026, 12, 1))

    def read(text, name="bundlekit.toml"):
        (tmp_path / name).write_text(text)
        return project.load(tmp_path / name)

    return read


def test_everything_in_the_file_is_read(load, tmp_path):
    found = load(GOOD)
    assert found.resolved(found.file.trust[0]) == tmp_path / "keys/trust.toml"
    assert found.file.sources == ("1.5.0",)
    assert [one.rule for one in found.waivers.current] == ["matrix-lint"]
    assert [one.rule for one in found.waivers.expired] == ["impact-not-said"]
    assert {rule.severity for rule in found.rules if rule.name == "matrix-lint"} == {"error"}
    assert {rule.severity for rule in found.rules if rule.name == "impact-not-said"} == {"warning"}


ASKED = {
    "sources": 'from = ["1.5.0"]',
    "strict": "strict = true",
    "warn_within": 'warn-within = "90 days"',
    "require_evidence": "require-evidence = true",
    "bundle_formats": 'bundle-formats = ["rauc"]',
    "rules": "rules = { impact-not-said = 'error' }",
    "waivers": "[[waive]]\nrule = 'matrix-lint'\nreason = 'a word'\nexpires = 2030-01-01",
    "trust": f'trust = ["{DEMO / "root.pem"}"]',
}
"""What a check is asked, by the line of the file that asks it."""


@pytest.mark.parametrize("name", ASKED)
def test_a_program_asks_what_the_file_says(load, name):
    assert getattr(project.request_of(load(f"config = 1\n{ASKED[name]}\n")), name) != getattr(NOTHING_ASKED, name)


def test_every_field_of_the_file_is_among_them():
    """Or is about files that are loaded alone, or about the output of a command."""
    others = {"config", "matrix", "advisories", "waive", "format", "outputs"}
    assert set(ProjectFile.__struct_fields__) - others == set(ASKED) - {"waivers"}


def test_the_table_of_a_pyproject_is_the_same(load):
    text = GOOD.replace("[rules]", "[tool.bundlekit.rules]").replace("[[waive]]", "[[tool.bundlekit.waive]]")
    text = f"[build-system]\nrequires = []\n\n[tool.bundlekit]\n{text}"
    found, same = load(text, "pyproject.toml"), load(GOOD)
    assert found.file == same.file
    with pytest.raises(ConfigError, match=r"pyproject.toml: line 18: unknown rule 'impact-not-sad'"):
        load(text.replace("impact-not-said", "impact-not-sad"), "pyproject.toml")
    with pytest.raises(ConfigError, match=r"has no \[tool.bundlekit\]"):
        load("[tool]\n", "pyproject.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("config = 1", "", "bundlekit.toml: has no 'config' key; a project file begins with config = 1"),
        ("config = 1", "config = 2", "line 1: has config = 2; a project file"),
        ("outputs =", "output =", "line 6: unknown key 'output'; did you mean 'outputs'?"),
        ('from = ["1.5.0"]', "from = [1.5]", "line 5: at 'from[0]': it must be text, not a number; write it in quotes"),
        ('"reports/junit.xml"', '"../junit.xml"', "line 6: outputs[0] = '../junit.xml' is not inside of the folder"),
        ('"reports/junit.xml"', '"/etc/passwd"', "line 6: outputs[0] = '/etc/passwd' is not inside of the folder"),
        ('"reports/junit.xml"', '"C:/x.xml"', "line 6: outputs[0] = 'C:/x.xml' is not inside of the folder"),
        ('"reports/junit.xml"', '"."', "line 6: outputs[0] = '.' is not inside of the folder"),
        ("from =", "bundle-formats = ['raucb']\nfrom =", "line 5: at 'bundle-formats[0]': 'raucb' is not one of"),
        ("from =", "bundle-formats = []\nfrom =", "line 5: at 'bundle-formats': it must have at least 1 item"),
        ('matrix-lint = "error"', 'matrix-lint = "off"', "line 8: at 'rules.matrix-lint': 'off' is not one of"),
        ('matrix-lint = "error"', 'unsigned = "warning"', "line 8: unsigned is a rule of class authenticity, which"),
        (
            '"impact-not-said"',
            '"unsigned"',
            "line 14: unsigned is a rule of class authenticity, which cannot be waived",
        ),
        ('"impact-not-said"', '"truncated"', "line 14: truncated is a rule of class layout, which cannot be waived"),
        ('"impact-not-said"', '"needs-stop"', "line 14: needs-stop is a rule of class compatibility, which cannot"),
        ("expires = 2020-01-01", "", "line 13: at 'waive[1]': the key 'expires' is missing"),
        ("2020-01-01", '"soon"', "line 16: at 'waive[1].expires': 'soon' is not a date"),
        ('"told by telephone"', '" "', "line 15: at 'waive[1].reason'"),
        ("trust = [", "trust = [[", "invalid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_key_and_line(load, old, new, message):
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        load(GOOD.replace(old, new))
    assert message in str(caught.value)


LINES = """\
top = "a"
text = \"\"\"
[table]
key = 1
\"\"\"
list = [
  "[x]",
  { key = 2 },
]
[table]
"key" = 3
[[rows]]
[[rows]] # the second
 a.b = 4
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("top", 1),
        ("list[1].key", 6),
        ("table", 10),
        ("table.key", 11),
        ("table.missing", 10),
        ("rows[0]", 12),
        ("rows[1].a.b", 14),
        ("rows[1].c", 13),
        ("other", None),
    ],
)
def test_the_line_of_a_key(path, line):
    assert toml.line_of(LINES.encode(), path) == line
