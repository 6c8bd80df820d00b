"""A certificate that the library cannot read is a finding or one sentence in every verb. No other report is lost."""

import pytest

from bundlekit.cli import run
from bundlekit.pipeline import inspect
from tests.trust import pki, world
from tests.trust.pki import intermediate, key, root, signer
from tests.trust.test_door import TLS_FEATURE

LEAF = signer(extra=[(TLS_FEATURE, False)])
CA = intermediate(extra=[(TLS_FEATURE, False)])
CASES = {
    "signer": lambda: world.by(leaf=LEAF),
    "intermediate": lambda: world.by(leaf=signer(issuer="Intermediate"), above=[CA]),
}
WORDS = "A certificate in the signature cannot be read"


@pytest.fixture(params=CASES)
def place(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strange.bin").write_bytes(world.bundle(CASES[request.param]()))
    (tmp_path / "good.bin").write_bytes(world.bundle(world.by()))
    (tmp_path / "root.pem").write_bytes(pki.pem(root()))
    (tmp_path / "strange-root.pem").write_bytes(pki.pem(root(extra=[(TLS_FEATURE, False)])))
    (tmp_path / "signer.pem").write_bytes(pki.pem(LEAF))
    (tmp_path / "signer.key").write_bytes(pki.pem(key("p256", "Signer")))
    return tmp_path


AT = ["--at", "2026-11-24"]
VERBS = {
    "check": (["check", "strange.bin", *AT], 1, WORDS),
    "check --trust": (["check", "strange.bin", "--trust", "root.pem", *AT], 1, WORDS),
    "preflight": (["preflight", "strange.bin", "--trust", "root.pem", *AT], 1, WORDS),
    "inspect": (["inspect", "strange.bin"], 0, "imager"),
    "sign": (["sign", "strange.bin", "--key", "signer.key"], 3, WORDS),
    "sign --cert": (["sign", "good.bin", "--key", "signer.key", "--cert", "signer.pem"], 3, "cannot be used"),
    "trust show": (["trust", "show", "strange-root.pem"], 3, "A certificate in strange-root.pem cannot be used"),
    "check with a strange anchor": (["check", "good.bin", "--trust", "strange-root.pem", *AT], 3, "cannot be used"),
}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(("arguments", "code", "words"), VERBS.values(), ids=VERBS)
def test_every_verb_answers(capsys, arguments, code, words):
    found = run(arguments)
    captured = capsys.readouterr()
    assert words in captured.out + captured.err
    assert found == code, captured


@pytest.mark.usefixtures("place")
def test_the_other_bundles_are_reported(capsys):
    assert run(["check", "good.bin", "strange.bin", "--trust", "root.pem", *AT]) == 1
    text = capsys.readouterr().out
    assert "ACCEPT" in text
    assert "REJECT" in text
    assert WORDS in text


def test_the_catalog_keeps_the_other_bundles(place, capsys):
    run(["catalog", "add", "catalog", "good.bin", "strange.bin"])
    run(["catalog", "show", "catalog", "--trust", "root.pem"])
    text = capsys.readouterr().out
    assert inspect(place / "good.bin").id in text
    assert "signature-malformed: A certificate in the signature cannot be read" in text


def test_a_damaged_list_is_one_sentence(tmp_path, capsys):
    from tests.trust import test_crl

    world.write(tmp_path)
    der = test_crl.make().public_bytes(pki.Encoding.DER).replace(b"TEST ONLY", b"TEST \xff\xfe\xfdY")
    (tmp_path / "root.crl").write_bytes(der)
    text = world.HEAD + world.SIGNERS + '[crls]\nfiles = ["root.crl"]\nrequired = true\n'
    (tmp_path / "trust.toml").write_text(text)
    (tmp_path / "good.bin").write_bytes(world.bundle(world.ANNA))
    for arguments in (["trust", "show"], ["check", str(tmp_path / "good.bin"), "--trust"]):
        assert run([*arguments, str(tmp_path / "trust.toml")]) == 3
        assert "cannot be used as a revocation list" in capsys.readouterr().err
