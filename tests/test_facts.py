"""Conditions hold, do not hold, or cannot be known; only what is comparable is compared."""

import pytest

from bundlekit.config import size_in_words
from bundlekit.facts import holds, quantity, unknown
from bundlekit.model.matrix import Condition


@pytest.mark.parametrize(
    ("fact", "test", "value", "expected"),
    [
        ("synchronised", "is", "synchronised", True),
        ("alone", "is", "synchronised", False),
        ("alone", "is-not", "synchronised", True),
        (True, "is", "true", True),
        (3, "is", "3", True),
        (None, "is", "x", None),
        (None, "is-not", "x", None),
        ([1], "is", "1", None),
        (7.1, "is", "7.1", None),  # may have been 7.10
        ("5 h", "below", "24 h", True),
        ("24 h", "below", "1 day", False),
        ("90 min", "at-least", "1 h", True),
        ("12 GiB", "at-least", "12 GB", True),
        ("7.0", "below", "7.1", True),
        ("7.10", "below", "7.9", False),
        (7, "below", "7.1", True),
        ("5", "below", "24 h", None),  # 5 what?
        ("5 h", "below", "12 GiB", None),
        ("5 weeks", "below", "24 h", None),
        ("-5 h", "below", "24 h", None),
        ("9" * 16 + " h", "below", "24 h", None),
        ("\N{ARABIC-INDIC DIGIT FIVE} h", "below", "24 h", None),
        ("5 h", "below", "soon", None),
    ],
)
def test_condition(fact, test, value, expected):
    assert holds(Condition(fact="a", test=test, value=value), {"a": fact}) is expected


def test_a_fact_that_is_not_there_is_not_known():
    assert holds(Condition(fact="a", test="is-not", value="x"), {}) is None


AGE = ("below", "24 h")
AS_DURATION = "Write a in `facts` of the appliance state as a number, a blank, and s, min, h or d: '3 h'."


@pytest.mark.parametrize(
    ("fact", "limit", "because", "remedy"),
    [
        (None, AGE, "that is not known", "Give the fact a in `facts` of the appliance state, such as '3 h'."),
        (None, ("is", "ok"), "that is not known", "Give the fact a in `facts` of the appliance state."),
        ("3h", AGE, "'3h', which was given, cannot be read as a duration", AS_DURATION),
        ("PT3H", AGE, "'PT3H', which was given, cannot be read as a duration", AS_DURATION),
        (3, AGE, "3, which was given, cannot be read as a duration", AS_DURATION),
        ("5 GiB", AGE, "'5 GiB', which was given, cannot be read as a duration", AS_DURATION),
        (
            "5",
            ("at-least", "1 GiB"),
            "'5', which was given, cannot be read as a size",
            "Write a in `facts` of the appliance state as a number, a blank, and B, KiB, MiB, GiB or TiB: '12 GiB'.",
        ),
        (
            "3 h",
            ("below", "7.1"),
            "'3 h', which was given, cannot be read as a dotted number",
            "Write a in `facts` of the appliance state as numbers joined by dots: '7.10'.",
        ),
        (
            7.1,
            ("is", "7.1"),
            "7.1, which was given, is not text",
            "Write a in `facts` of the appliance state in quotes.",
        ),
        (
            7.1,
            ("below", "7.2"),
            "7.1, which was given, is not text",
            "Write a in `facts` of the appliance state in quotes.",
        ),
        (
            ["\x1b"],
            AGE,
            "a list or a map, which was given, is not text",
            "Write a in `facts` of the appliance state in quotes.",
        ),
        ("x" * 99, AGE, f"'{63 * 'x'}~', which was given, cannot be read as a duration", AS_DURATION),
        (
            "5 h",
            ("below", "soon"),
            "'soon' cannot be compared with anything",
            "Ask the vendor for a bundle with a usable value.",
        ),
    ],
)
def test_what_cannot_be_known_says_why_and_how_to_write_it(fact, limit, because, remedy):
    condition = Condition(fact="a", test=limit[0], value=limit[1])
    assert holds(condition, {"a": fact}) is None
    assert unknown(condition, {"a": fact}) == (because, remedy)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1,023 bytes"),
        (1024, "1 KiB"),
        (1500, "about 1.5 KiB (1,500 bytes)"),
        (12884901888, "12 GiB"),
        (3 * 2**29, "1,536 MiB"),
        (2**53, "8,192 TiB"),
        (12884901889, "about 12.0 GiB (12,884,901,889 bytes)"),
        (2**40 - 1, "about 1,024.0 GiB (1,099,511,627,775 bytes)"),
    ],
)
def test_a_size_is_said_in_a_unit_that_people_read_and_exactly(size, text):
    assert size_in_words(size) == text


@pytest.mark.parametrize(("text", "kind"), [("24 h", "duration"), ("1 KiB", "size"), ("7.1", "dotted")])
def test_kinds_of_quantities(text, kind):
    assert quantity(text)[0] == kind
