"""What is plain technical English here: words that the project does not use, and where its text is found.

Three kinds of text are read: ``pages`` (Markdown), ``messages`` (string literals that are prose, and the help of
commands) and ``comments`` (docstrings and comments). Code, tables and indented blocks of a page are not prose.
"""

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bundlekit"
PAGES = (
    *sorted((PACKAGE / "docs").glob("*.md")),
    *sorted((ROOT / ".github").rglob("*.md")),
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
)
CODE = tuple(sorted(PACKAGE.rglob("*.py")))
LONGEST = 25
"""Words of a sentence."""


class Pattern(NamedTuple):
    """A word to avoid, what to write in its place, and where it is right all the same, with the reason."""

    regex: str
    instead: str
    allowed: dict[str, str] = {}


PATTERNS = (
    Pattern(r"nobody|somebody|whoever|anybody", "a role (operator, signer, caller), or the passive"),
    Pattern(r"says?|said|saying|tells?|telling|told|speaks?|spoken", "print, report, specify, state"),
    Pattern(r"(?:is|are|was|were) (?:not )?there(?! (?:is|are))", "exists, is missing, is set, is given"),
    Pattern(r"(?:by|out of|for) which", "a verb: 'no upgrade path from'"),
    Pattern(r"(?<!thing )(?<!one )(?<!where )else", "otherwise, or 'if not'", {"or else": "an idiom"}),
    Pattern(r"beside", "with, next to, in addition to"),
    Pattern(r"behind", "after, following", {"left behind": "an idiom", "leaves": "'leaves behind' is an idiom"}),
    Pattern(r"anew|to the letter|in hand", "again, literally, available"),
    Pattern(r"judg\w+", "validate, evaluate, decide"),
    Pattern(r"vouch\w*", "sign, verify, cover"),
    Pattern(r"mend(?:s|ed|ing)?", "fix"),
    Pattern(r"learnt|trying out|needs hands|bring(?:s|ing)?|brought", "advisories, testing, manual repair, contain"),
    Pattern(r"ways? (?:out|on|in)|on the way", "recovery, path, between", {"way in which": "an ordinary noun"}),
    Pattern(r"quiet", "idle"),
    Pattern(r"may", "can, is allowed to, must not; might for what is possible"),
    Pattern(r"house rules?", "best-practice rule"),
    Pattern(r"of (?:itself|its own accord)|all the same|thief|stranger\w*", "a plain word"),
    Pattern(r"(?:lies|lay|stands?|stood)(?! by)", "is", {"stand for": "an idiom", "stands for": "an idiom"}),
)
WORDS = tuple((re.compile(rf"(?<![\w-])(?:{one.regex})(?![\w-])", re.IGNORECASE), one) for one in PATTERNS)
ENDS = re.compile(r"(?<!e\.g)(?<!i\.e)[.?!:](?:[\"')*_]*)(?:\s|$)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
OPTION_OF_OURS = re.compile(r"\bbundlekit [a-z][^`\n]*?\s(--?[a-z][a-z-]*)")
"""An option in a command of bundlekit, also where the command is code."""


ITEM = re.compile(r"^ *(?:[-*]|\d+\.) ", re.MULTILINE)
"""How an item of a list begins in a docstring."""
NOTATION = re.compile(r"\(\?[:P(=!]|\[\^|^<|^[\w ]*\{font-|viewBox|CREATE TABLE|^\s*(?:SELECT|WITH|INSERT|UPDATE) ")
"""Regular expressions, SVG and SQL."""


COLUMNS = re.compile(r"^\S.*\S {3,}\S", re.MULTILINE)
"""A line with columns. Two of them make a table, also if a docstring has nothing after it that is not indented."""


class Text(NamedTuple):
    """A piece of prose and where it stands."""

    path: str
    line: int
    prose: str


def of_page(path: Path) -> Iterator[Text]:
    """The paragraphs, list items and headings of a page."""
    fenced, started, gathered = False, 0, list[str]()
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate([*lines, ""], 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        code = fenced or line.startswith(("    ", "   |", "|", "<!--")) or line.lstrip().startswith("```")
        new = code or not line.strip() or line.startswith("#") or re.match(r" *(?:[-*]|\d+\.) ", line)
        if new and gathered:
            yield Text(_name(path), started, plain(" ".join(gathered)))
            gathered = []
        if line.strip() and not code:
            started = started if gathered else number
            gathered.append(re.sub(r"^ *(?:[-*#]+|\d+\.) ", "", line).strip())


def of_messages(path: Path) -> Iterator[Text]:
    """Every string literal that is prose, and the docstrings of commands, which are their help."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = _docstrings(tree)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            prose = "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            prose = node.value
        else:
            continue
        if (node not in docs or docs[node]) and not NOTATION.search(prose):
            for part in map(plain, _parts(prose)):
                if len(re.findall(r"[A-Za-z]{2,}", part)) > 2 and " " in part:
                    yield Text(_name(path), node.lineno, part)


def of_comments(path: Path) -> Iterator[Text]:
    """Docstrings, and comments that follow one another as one text."""
    source = path.read_text(encoding="utf-8")
    for node, is_help in _docstrings(ast.parse(source)).items():
        if not is_help:
            for paragraph in inspect.cleandoc(str(node.value)).split("\n\n"):
                if not paragraph.startswith("    ") and len(COLUMNS.findall(paragraph)) < 2:  # a block of code, a table
                    yield from (Text(_name(path), node.lineno, plain(item)) for item in ITEM.split(paragraph))
    gathered, last, started = list[str](), -1, 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not re.match(r"# (?:noqa|type:|fmt:)", token.string):
            alone = token.line.lstrip().startswith("#")  # and not after code, where it is about its own line
            if gathered and not (alone and token.start[0] == last + 1):
                yield Text(_name(path), started, plain(" ".join(gathered)))
                gathered = []
            started = started if gathered else token.start[0]
            gathered.append(token.string.lstrip("#: "))
            last = token.start[0] if alone else -1
    if gathered:
        yield Text(_name(path), started, plain(" ".join(gathered)))


def plain(text: str) -> str:
    """The text without code: a code span is one word of a sentence."""
    text = re.sub(r"`+[^`]+`+|bundlekit [a-z]+ .*\{.*", "CODE", text)
    return " ".join(text.split())


def words(texts: Iterator[Text]) -> list[str]:
    """Each word to avoid, with its place and what to write."""
    found = []
    for text in texts:
        for regex, pattern in WORDS:
            for hit in regex.finditer(text.prose):
                around = text.prose[max(0, hit.start() - 30) : hit.end() + 30]
                if not any(phrase in around for phrase in pattern.allowed):
                    found.append(f"{text.path}:{text.line}: {hit[0]!r} in {around!r}; write {pattern.instead}")
        if text.prose.startswith("Of ") or ". Of " in text.prose:
            found.append(f"{text.path}:{text.line}: 'Of ...' in front; write 'Y of X'")
    return found


def long(texts: Iterator[Text]) -> list[str]:
    """Each sentence that is too long, with its place and its number of words."""
    return [
        f"{text.path}:{text.line}: {count} words: {sentence.strip()[:90]}..."
        for text in texts
        for sentence in ENDS.split(text.prose)
        if (count := len(re.findall(r"[\w'{}-]*\w[\w'{}-]*", sentence))) > LONGEST
    ]


def options(texts: Iterator[Text]) -> list[str]:
    """Each name of a command-line option."""
    return [f"{text.path}:{text.line}: {name}" for text in texts for name in OPTION.findall(text.prose)]


def options_of_commands(path: Path) -> list[str]:
    """Each option of a command of bundlekit in a string of the code that is no docstring, and its place."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = _docstrings(tree)
    return [
        f"{_name(path)}:{node.lineno}: {hit[1]}"
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr | ast.Constant) and node not in docs
        for hit in OPTION_OF_OURS.finditer(_whole(node))
    ]


def _whole(node: ast.JoinedStr | ast.Constant) -> str:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in parts)


def _parts(text: str) -> list[str]:
    """The comments of an example file, the paragraphs of a help text, and the lines of an epilog, each on its own."""
    if re.search(r"^\S+ += \S", text, re.MULTILINE):
        return [comment for line in text.splitlines() for comment in line.split("#")[1:]]
    if "\b" in text or text.startswith("Exit codes"):
        return re.split(r"\n|, (?=\d)", text)
    return re.split(r"\n\n", text)


def _docstrings(tree: ast.AST) -> dict[ast.Constant, bool]:
    """Every docstring, those of attributes too, and whether it is the help of a command."""
    found = {}
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            if (
                isinstance(child, ast.Expr)
                and isinstance(child.value, ast.Constant)
                and isinstance(child.value.value, str)
            ):
                found[child.value] = isinstance(node, ast.FunctionDef) and any(
                    "command" in ast.dump(one) or "group" in ast.dump(one) for one in node.decorator_list
                )
    return found


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
