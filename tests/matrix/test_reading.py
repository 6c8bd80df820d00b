"""What it costs to read a matrix that somebody made to be expensive: each text is read once."""

import datetime as dt

import pytest
from msgspec.structs import replace

from bundlekit import pipeline
from bundlekit.errors import VersionError
from bundlekit.matrix.read import UnreadableMatrix, read_matrix
from bundlekit.model.matrix import Alias, DeclaredScheme, Matrix, MatrixSource
from bundlekit.source import BytesSource
from bundlekit.versions import VersionScheme, scheme_named
from fixtures import forge

ALIASED = Matrix(
    releases=("5.30.02",),
    aliases=(Alias(alias="lts", version="5.30.02"),),
    sources=tuple(MatrixSource(id=f"s{n}", versions=">=lts, <=lts", except_=("lts",) * 9) for n in range(9)),
)


@pytest.fixture
def parsed(monkeypatch):
    """Every text that a scheme reads from now on."""
    texts = []
    parse = VersionScheme.parse
    monkeypatch.setattr(VersionScheme, "parse", lambda scheme, text: texts.append(text) or parse(scheme, text))
    return texts


def test_a_matrix_reads_each_text_once_however_often_it_is_named(parsed):
    read = read_matrix(replace(forge.MANIFEST, matrix=ALIASED))
    assert not isinstance(read, UnreadableMatrix)
    assert len(parsed) < 10


def test_a_check_reads_the_matrix_once_for_all_its_rules_and_decisions(parsed):
    read_matrix(replace(forge.MANIFEST, matrix=ALIASED))
    once = list(parsed)
    parsed.clear()
    bundle = BytesSource(forge.changed(matrix=ALIASED))
    pipeline.check(bundle, sources=["5.30.02"], at=dt.datetime.fromisoformat(forge.AT))
    assert parsed == once


def test_a_matrix_reads_each_text_once_that_does_not_fit(parsed):
    sources = tuple(MatrixSource(id=f"s{n}", versions="wrong") for n in range(50))
    read = read_matrix(replace(forge.MANIFEST, matrix=Matrix(sources=sources)))
    assert isinstance(read, UnreadableMatrix)
    assert len(read.problems) == 50
    assert parsed.count("wrong") == 1


def test_a_long_list_of_forms_is_not_repeated_in_each_message():
    scheme = scheme_named("declared", DeclaredScheme(forms=("#.#", *(f"#-{'x' * n}" for n in range(1, 20)))))
    with pytest.raises(VersionError, match=r"none of the forms #\.#, #-x, #-xx, #-xxx and 16 more"):
        scheme.parse("1")
