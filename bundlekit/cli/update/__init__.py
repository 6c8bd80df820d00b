"""``bundlekit update``: the operator's verbs."""

from __future__ import annotations

from typing import Any

import click

from bundlekit.cli.update.commands import VERBS
from bundlekit.cli.verbs import Verbs
from bundlekit.errors import BundlekitError


class UpdateVerbs(Verbs):
    """The verbs of ``update``, with the exit codes of a journal that cannot be used."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb."""
        try:
            return super().invoke(ctx)
        except BundlekitError as error:
            from bundlekit.update.engine.errors import JournalDamagedError, JournalError, StateFolderError
            from bundlekit.update.engine.outcome import EXIT_CODES
            from bundlekit.update.state.lock import PairBusyError

            if isinstance(error, JournalDamagedError):
                error.exit_code = EXIT_CODES["needs-operator"]
            elif isinstance(error, JournalError) and not isinstance(error, StateFolderError | PairBusyError):
                error.exit_code = EXIT_CODES["waiting"]
            raise


@click.group(
    cls=UpdateVerbs,
    verbs=VERBS,
    package=__name__,
    epilog="Examples: `bundlekit update plan update.bin --plan PLAN.toml --appliance STATE.json --trust root.pem`, "
    "`bundlekit explain executor`, `bundlekit explain outcomes`.",
)
def command() -> None:
    """Update a pair of appliances and manage the run."""
