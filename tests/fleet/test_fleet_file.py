"""FLEET.toml is read strictly: each mistake is a sentence with its key and line."""

import pytest

from bundlekit.errors import ConfigError
from bundlekit.fleet.fleet_file import FleetWave, load_fleet
from bundlekit.fleet.waves import assign

FLEET_EXAMPLE = """\
fleet = 1
name = "spring-2027"
bundles = ["releases"]
target = "5.40.00"
trust = ["root.pem"]
silent-after = "6 h"

[inventory]
file = "states.jsonl"

[max-in-flight]
all = 20
per = { site = 1, model = 10 }

[[waves]]
name = "canary"
pairs = ["lab-1", "lab-2"]
soak = "24 h"
approval = true

[[waves]]
name = "early"
percent = 10
soak = "2 days"

[[waves]]
name = "rest"

[[windows]]
days = ["mon", "tue", "wed", "thu"]
from = "22:00"
to = "04:00"
zone-fact = "time-zone"

[[abort]]
failures = ["reverted", "degraded", "needs-operator", "silent"]
minimum-ended = 2
percent = 10
per = "wave"
"""


def load(tmp_path, text=FLEET_EXAMPLE):
    path = tmp_path / "FLEET.toml"
    path.write_text(text)
    return load_fleet(path)


def test_the_example_is_read(tmp_path):
    fleet = load(tmp_path)
    assert fleet.resolved("releases") == tmp_path / "releases"
    assert fleet.file.silence == 6 * 3600
    assert [wave.name for wave in fleet.file.waves] == ["canary", "early", "rest"]
    assert fleet.file.max_in_flight.per == {"site": 1, "model": 10}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("fleet = 1\n", "", "has no 'fleet' key; a fleet begins with fleet = 1"),
        ("fleet = 1\n", "fleet = 2\n", "line 1: has fleet = 2; a fleet begins with fleet = 1"),
        ("all = 20", "all = 0", "line 12: at 'max-in-flight.all': it must be at least 1"),
        ("soak = \"24 h\"", "soke = \"24 h\"", "at 'waves[0]': unknown key 'soke'; did you mean 'soak'"),
        ("percent = 10\nsoak", "percent = 101\nsoak", "line 23: at 'waves[1].percent': it must be at most 100"),
        ('name = "early"', 'name = "canary"', "line 22: two waves have the name 'canary'"),
        ("percent = 10\nsoak", "percent = 10\ncount = 5\nsoak", "line 23: waves[1] has both count and percent"),
        ("percent = 10\nsoak", "soak", "line 21: waves[1] needs pairs, count or percent; only the last"),
        ('name = "rest"', 'name = "rest"\ncount = 5', "line 28: waves[2].count: the last wave takes the pairs"),
        ('name = "rest"', 'name = "rest"\nsoak = "1 h"', "line 28: soak of the last wave: no wave follows"),
        ('"lab-2"', '"lab-1"', "line 17: waves[0].pairs: lab-1 is named twice"),
        ('zone-fact = "time-zone"', 'zone = "Europe/Bonn"', "line 33: windows[0].zone = 'Europe/Bonn' is not a"),
        ('zone-fact = "time-zone"\n', "", "line 29: windows[0] needs either zone or zone-fact"),
        ('to = "04:00"', 'to = "22:00"', "line 32: windows[0]: from and to are the same"),
        ('"22:00"', '"24:00"', 'line 31: windows[0].from = "24:00" is only possible as the end'),
        ('"22:00"', '"22.00"', "line 31: at 'windows[0].from': '22.00' must be a time of day"),
        ('"tue"', '"mon"', "line 30: windows[0].days names a day twice"),
        ('file = "states.jsonl"', 'timeout = "1 min"', "line 8: [inventory] needs either file or command"),
        ('file = "states.jsonl"', 'file = "s"\ntimeout = "1 min"', "line 10: timeout is for a command"),
        ('"reverted", "deg', '"silent", "deg', "line 36: abort[0].failures names a kind twice"),
        ('"reverted", "deg', '"reverted", "succeeded", "deg', "'succeeded' is not one of rejected, cancelled,"),
        ('"24 h"', '"367 days"', "line 18: waves[0].soak is more than a year: 367 days"),
        ('"6 h"', '"9000 h"', "line 6: silent-after is more than a year: 9000 h"),
        ("[[abort]]", "[[aborts]]", "unknown key 'aborts'; did you mean 'abort'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_key_and_line(tmp_path, old, new, message):
    assert FLEET_EXAMPLE.count(old) >= 1
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, FLEET_EXAMPLE.replace(old, new, 1))
    assert message in str(caught.value)


def waves(*given):
    return tuple(FleetWave(name=f"w{at}", **one) for at, one in enumerate(given))


def test_waves_take_names_counts_and_percentages():
    pairs = [f"p{number}" for number in range(20)]
    found = assign(waves({"pairs": ("p3", "gone")}, {"count": 2}, {"percent": 21}, {}), pairs, "seed")
    assert [len(wave) for wave in found] == [1, 2, 5, 12]
    assert found[0] == ("p3",)
    assert sorted(pair for wave in found for pair in wave) == sorted(pairs)
    assert found == assign(waves({"pairs": ("p3", "gone")}, {"count": 2}, {"percent": 21}, {}), pairs[::-1], "seed")
    assert found[1:] != assign(waves({"pairs": ("p3",)}, {"count": 2}, {"percent": 21}, {}), pairs, "other")[1:]


def test_a_pair_that_joins_moves_at_most_one_pair_over_each_border():
    given, pairs = waves({"count": 5}, {"count": 5}, {}), [f"p{number}" for number in range(40)]
    before = assign(given, pairs, "seed")
    for new in ("n1", "n2", "n3"):
        after = assign(given, [*pairs, new], "seed")
        for old, now in zip(before, after, strict=True):
            assert len(set(old) - set(now)) <= 1
