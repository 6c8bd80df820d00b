"""A stop out of which no way leads: the lint names what refuses the way on, and not what would allow it."""

import pytest

from bundlekit.matrix.lint import lint
from tests.matrix.candidates import anything, candidate

VIA = anything() | {"releases": ["5.20.00", "5.32.00"], "stop": [{"id": "s", "versions": "5.20.00", "via": "5.32.00"}]}


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        ({"counter": 9}, "The security counter of the bundle is 3, but the pair requires 9."),
        ({"includes": ("HF-7",)}, "The pair has HF-7, which the bundle does not include."),
        ({"released": "2026-12-01"}, "5.32.00 was released on 2026-12-01, after the bundle (2026-11-23)"),
    ],
)
def test_the_reason_is_what_refuses(there, reason):
    base = {"counter": 3, "includes": (), "released": "2026-11-01"}
    stop = candidate("5.32.00", anything(), **base | there).manifest
    own = candidate("5.40.00", VIA, **base | {"released": "2026-11-23"}).manifest
    (found,) = (one for one in lint(own, [stop], at="2026-12-24").findings if one.rule == "stop-blocked")
    assert found.message.startswith(f"The stop leads to 5.32.00, which has no upgrade path to this release: {reason}")
    assert "can be updated" not in found.message
