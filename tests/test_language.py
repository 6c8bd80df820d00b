"""The text of the project is plain technical English: see ``tests/language.py`` for the words and the lengths."""

import pytest

from tests import language

KINDS = {
    "pages": (language.PAGES, lambda path: faults(language.of_page, path)),
    "messages": (language.CODE, lambda path: faults(language.of_messages, path)),
    "comments": (language.CODE, lambda path: faults(language.of_comments, path)),
    "options": (
        tuple(path for path in language.CODE if "cli" not in path.parts and "docs" not in path.parts),
        lambda path: language.options(language.of_messages(path)) + language.options_of_commands(path),
    ),
}


def faults(read, path):
    return language.words(read(path)) + language.long(read(path))


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_is_plain(kind):
    paths, check = KINDS[kind]
    found = [fault for path in paths for fault in check(path)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("# Page\n\nThe key is signed, but nobody vouches for it.\n", 2),
        ("# Page\n\n- " + "word " * 26 + "\n- short\n", 1),
        ("# Page\n\n" + "word " * 25 + "\n\n" + "word " * 25 + "\n", 0),
        ("# Page\n\n    nobody vouches\n\n```\nnobody vouches\n```\n\n`nobody vouches`\n", 0),
        ("# Page\n\nIt is left behind. It stands for a program.\n", 0),
        ("# Page\n\nOf two ways the shorter one.\n", 1),
    ],
)
def test_a_page_is_read(tmp_path, text, count):
    path = tmp_path / "page.md"
    path.write_text(text)
    assert len(faults(language.of_page, path)) == count


@pytest.mark.parametrize(
    ("read", "text", "count"),
    [
        (language.of_messages, 'x = f"{name} is signed, and nobody vouches for it"\n', 2),
        (language.of_messages, 'x = "nobody"\n', 0),
        (language.of_messages, "x = f\"{key} {'that nobody vouches for' if old else 0}\"\n", 2),
        (language.of_messages, '"""What nobody vouches for."""\n', 0),
        (language.of_messages, '@click.command()\ndef f():\n    """Find what nobody vouches for."""\n', 2),
        (language.of_comments, '"""What nobody vouches for."""\n', 2),
        (language.of_comments, '"""A list:\n\n1. One.\n2. Of two.\n\n    nobody\n"""\n', 1),
        (language.of_comments, 'x = 1  # nobody\n# the next line\n# vouches for it\ny = "nobody vouches"\n', 2),
    ],
)
def test_code_is_read(tmp_path, read, text, count):
    path = tmp_path / "code.py"
    path.write_text(text)
    assert len(language.words(read(path))) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("# " + "word " * 26 + "\n", 1),
        ("x = 1  # " + "word " * 13 + "\ny = 1  # " + "word " * 13 + "\n", 0),
        ("# " + "word " * 13 + "\n# " + "word " * 13 + "\n", 1),
        ('"""' + "word " * 13 + "\n\n" + "word " * 13 + '"""\n', 0),
        ('"""Text.\n\n    ' + "word " * 26 + '\n\nEnd.\n"""\n', 0),
        ('"""Text:\n\n' + "8 bytes   another word\n" * 9 + '"""\n', 0),
        ('"""Text:\n\n' + "    8 bytes   another word\n" * 9 + '"""\n', 0),
        ('"""Text:\n\n8 bytes   ' + "another word\n" * 13 + '"""\n', 1),
    ],
)
def test_a_long_sentence_of_a_comment_is_found(tmp_path, text, count):
    path = tmp_path / "code.py"
    path.write_text(text)
    assert len(language.long(language.of_comments(path))) == count


def test_an_option_in_a_message_is_found(tmp_path):
    path = tmp_path / "code.py"
    path.write_text('x = f"no trust was given (--trust), {y}"\n')
    assert language.options(language.of_messages(path)) == ["code.py:1: --trust"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('x = f"Run `bundlekit extract {name} --head -o head` first."', ["--head"]),
        ("x = f\"See `bundlekit update status {'-p'} {pair} -v`.\"", ["-v"]),
        ('x = "`bundlekit sign`, or `openssl cms -sign -binary`"', []),
        ('"""``bundlekit check --trust root.pem`` is a docstring."""', []),
    ],
)
def test_an_option_of_a_command_in_a_string_is_found(tmp_path, text, found):
    path = tmp_path / "code.py"
    path.write_text(text)
    assert [one.rpartition(" ")[2] for one in language.options_of_commands(path)] == found
