import pytest

from tests.trust import pki, test_crl, world


@pytest.fixture(scope="session")
def desk(tmp_path_factory):
    """A folder with the files that the trust files of these tests name. Nobody writes there."""
    folder = world.write(tmp_path_factory.mktemp("trust"))
    (folder / "root.crl").write_bytes(test_crl.make().public_bytes(pki.Encoding.PEM))
    return folder
