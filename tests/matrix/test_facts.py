"""Conditions hold, do not hold, or cannot be known; only what is comparable is compared."""

import pytest

from bundlekit.matrix.facts import holds, quantity
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


@pytest.mark.parametrize(("text", "kind"), [("24 h", "duration"), ("1 KiB", "size"), ("7.1", "dotted")])
def test_kinds_of_quantities(text, kind):
    assert quantity(text)[0] == kind
