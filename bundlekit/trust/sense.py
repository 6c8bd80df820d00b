"""Values of a trust file that cannot be meant: it is rejected when it is read, not when a bundle meets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.errors import ConfigError
from bundlekit.schema_errors import nearest

if TYPE_CHECKING:
    from bundlekit.model.trust import TrustFile


def demand_sense(file: TrustFile, where: str) -> None:
    """Raise ConfigError for values that contradict each other, or that nothing can ever match."""
    if file.floor.rsa > file.ceiling.rsa:
        raise ConfigError(
            f"{where}: the floor of {file.floor.rsa} bits for RSA is above the ceiling of {file.ceiling.rsa}"
        )
    if file.intermediate_files and file.intermediates != "listed":
        raise ConfigError(f'{where}: intermediate-files are used with intermediates = "listed" only')
    for demand in file.require:
        for name in demand.of:
            if name not in file.signers:
                raise ConfigError(f"{where}: a requirement lists the signer {name!r}{nearest(name, set(file.signers))}")
        if len(set(demand.of)) < len(demand.of):
            twice = next(name for name in demand.of if demand.of.count(name) > 1)
            raise ConfigError(f"{where}: a requirement lists the signer {twice!r} twice, and a signer counts once")
        for form in demand.formats:
            able = [name for name in demand.of if form in file.signers[name].formats]
            if len(able) < demand.count:
                whose = f"only {', '.join(able)} can" if able else "none of its signers can"
                raise ConfigError(f"{where}: a requirement for {form} can never be met, because {whose} sign {form}")
    _floors(file, where)


def _floors(file: TrustFile, where: str) -> None:
    named = [signer.products for signer in file.signers.values()]
    products = {product for one in named for product in one}
    for product, floor in file.floors.items():
        if floor.version is None and floor.counter is None:
            raise ConfigError(f"{where}: the floor of {product!r} has neither a version nor a counter")
        if all(named) and product not in products:
            hint = nearest(product, products)
            raise ConfigError(f"{where}: a floor for {product!r}, which no signer is allowed to sign for{hint}")
