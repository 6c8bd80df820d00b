"""What belongs to a format next to its reader: the files, the least they contain, and the pages that list formats.

`lacking` has a message for each part that is missing, with the file to touch and the command to run. Tests that need
the files of a format run for those in `COMPLETE`, so that a missing file breaks one test and not the collection of all.
"""

import json
import re
import tomllib
from pathlib import Path

from bundlekit import formats
from bundlekit.layout import foreign

ROOT = Path(__file__).parents[2]
SAMPLES, TESTS, RULES, SPOILED_RULES = 2, 3, 5, 4
"""The least number of samples, of test functions, of rules on the page, and of different rules of spoiled files."""
LARGEST = 400_000
"""Bytes of all samples together."""
PAGE = "see `bundlekit explain adding-a-format`"


def lacking(name, root=ROOT, kinds=foreign.KINDS):
    """What a format lacks."""
    found = [] if name in kinds else [f"bundlekit/layout/foreign.py: add a row ForeignKind({name!r}, ...) to _ROWS"]
    files = {
        f"bundlekit/formats/{name}.py": "the reader",
        f"bundlekit/docs/{name}.md": "the page about the format",
        f"fixtures/make_{name}.py": f"makes the samples: python -m fixtures.make_{name}",
        f"fixtures/spoil_{name}.py": "has the function files, which lists what must be rejected",
        f"fixtures/formats/{name}/trust.toml": "trusts the signers of the samples",
        f"tests/formats/test_{name}.py": "the tests of what is special about the format",
        f"tests/benchmarks/{name}_speed.py": f"the benchmark: python tests/benchmarks/{name}_speed.py",
    }
    found += [f"{file} is missing: {what}; {PAGE}" for file, what in files.items() if not (root / file).is_file()]
    if (tests := root / f"tests/formats/test_{name}.py").is_file():
        count = len(re.findall(r"^def test_", tests.read_text(encoding="utf-8"), re.MULTILINE))
        if count < TESTS:
            found.append(f"tests/formats/test_{name}.py has {count} test functions; write at least {TESTS}")
    return [*found, *_samples_lack(name, root / "fixtures/formats" / name)]


def _samples_lack(name, folder):
    """What the folder of the samples lacks."""
    shown, write = f"fixtures/formats/{name}", f"python -m fixtures.format_reports {name}"
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    samples = [file for file in files if file.suffix not in {".json", ".toml"}]
    reports = [file for file in files if file.suffix == ".json"]
    if len(samples) < SAMPLES:
        yield f"{shown} has {len(samples)} samples; python -m fixtures.make_{name} has to make at least {SAMPLES}"
    if (size := sum(file.stat().st_size for file in files)) >= LARGEST:
        yield f"{shown} has {size:,} bytes; make smaller samples, with less than {LARGEST:,} bytes together"
    if (folder / "trust.toml").is_file():
        yield from trust_lacks(name, tomllib.loads((folder / "trust.toml").read_text(encoding="utf-8")))
    if not reports:
        yield f"{shown} has no golden report: make an empty file SAMPLE.json, then run {write}"
    verdicts = [json.loads(file.read_bytes() or b"{}").get("verdict", "") for file in reports]
    for file, verdict in zip(reports, verdicts, strict=True):
        if verdict not in ("accept", "incomplete"):
            what = f"states the verdict {verdict}" if verdict else "is empty"
            yield f"{shown}/{file.name} {what}: run {write}, which prints the verdict of each sample"
    if reports and "accept" not in verdicts:
        yield f"{shown}: no golden report accepts its sample; run {write}, and see what it prints"


def trust_lacks(name, document):
    """What the trust file of the samples lacks."""
    file = f"fixtures/formats/{name}/trust.toml"
    if document.get("allow-test-keys") is not True:
        yield f"{file}: write allow-test-keys = true, because test keys sign the samples"
    for signer, table in document.get("signers", {}).items():
        if name not in table.get("formats", ()):
            yield f'{file}: write formats = ["{name}"] in [signers.{signer}], or it counts for update.bin only'


LISTS = {
    "CHANGELOG.md": [("", r"`bundlekit explain {name}`", "a line under Added with `bundlekit explain {name}`")],
    "README.md": [("# bundlekit\n", "{name}", "the format in the first paragraph")],
    "bundlekit/docs/formats.md": [
        ("    update.bin    the format", r"^ +{name} .*: `bundlekit explain {name}`$", "a row in the first table"),
        ("    format                   reads", "^ .*{name}", "a row in the table of a pre-flight"),
        ("    format      decides", "^ .*{name}", "a row in the table of upgrade rules, perhaps with `nothing`"),
        ("## Signatures\n", r"^\*\*.+\*\* \([^)]*{name}[^)]*\)", "the format after **CMS** or **Bare signatures**"),
    ],
    "bundlekit/docs/remote.md": [
        ("    format              preflight", "^ .*{name}", "a row in the table of what is read")
    ],
}
"""Where formats are listed: the text at the beginning, how a format looks there, and what to add.

A table ends at a blank line, and what begins with a heading at the next one. Names are found in any case, so that `esp`
is in ESP-IDF.
"""


def unlisted(name, root=ROOT):
    """The lists without a format, and what to add."""
    for file, lists in LISTS.items():
        text = (root / file).read_text(encoding="utf-8")
        for begin, looks, what in lists:
            assert begin in text, (file, begin)
            end = "\n## " if begin.startswith("#") else "\n\n"
            part = text[text.index(begin) :].partition(end)[0] if begin else text
            if not re.search(looks.format(name=rf"\b{name}\b"), part, re.MULTILINE | re.IGNORECASE):
                yield f"{file}: add {what.format(name=name)}"
    if (root / "bundlekit/layout" / name).is_dir():
        contract = (root / "pyproject.toml").read_text(encoding="utf-8")
        if f'"bundlekit.layout.{name}"' not in contract:
            yield f'pyproject.toml: add "bundlekit.layout.{name}" to the contract that layouts are independent'


COMPLETE = tuple(name for name in formats.FORMATS if not lacking(name))
"""The formats of the package that lack nothing."""
