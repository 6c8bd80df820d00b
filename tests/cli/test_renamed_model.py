"""A model under a new name: the lint names both models and advises about `models`, and the advice helps."""

import json

MATRIX = 'releases = ["5.30.02"]\n[[from]]\nid = "one"\nversions = "5.30.02"\n'


def findings(cli, *args):
    return {one["rule"]: one for one in json.loads(cli("matrix", "lint", *args, "--format", "json").out)["findings"]}


def test_both_models_are_named_and_following_the_advice_ends_it(cli, ship):
    old = ship("5.30.02", MATRIX.replace("5.30.02", "5.20.00"), models=["im-100"])
    new = ship("5.40.00", MATRIX, models=["im-100r"])
    found = findings(cli, new, "--catalog", old)["no-update-to"]
    assert "for im-100r, but the bundles of its source versions are for im-100." in found["message"]
    assert "add im-100 to `models` of this bundle" in found["next"]
    assert "[[from]]" not in found["next"]
    both = ship("5.40.00", MATRIX, models=["im-100r", "im-100"])
    assert "no-update-to" not in findings(cli, both, "--catalog", old)
