"""Snakemake's logger plugin `deepscaler`, which the profiles name. What it shows: deepscaler.controller.console.

Snakemake imports every plugin whenever it starts: what is slow is imported when this one is used.
"""

from logging import LogRecord

from snakemake_interface_logger_plugins.base import LogHandlerBase


class LogHandler(LogHandlerBase):
    """Dry runs, and runs that ask for more or for less than usual, are printed by Snakemake itself."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        asked = self.common_settings
        if (
            asked.dryrun
            or asked.verbose
            or asked.debug_dag
            or asked.printshellcmds
            or asked.quiet
            or asked.show_failed_logs
        ):
            self.inner = self.snakemakes_own()
        else:
            from deepscaler.controller.console.display import Display
            from deepscaler.controller.console.handler import Handler

            self.inner = Handler(Display(colour=not asked.nocolor))

    def snakemakes_own(self):
        import sys

        from snakemake import logging

        asked = self.common_settings
        own = logging.ColorizingTextHandler(nocolor=asked.nocolor, stream=sys.stdout if asked.stdout else sys.stderr)
        own.addFilter(
            logging.DefaultFilter(asked.quiet, asked.debug_dag, asked.verbose, asked.dryrun, asked.printshellcmds)
        )
        own.setFormatter(logging.DefaultFormatter(asked.quiet, asked.show_failed_logs))
        return own

    def emit(self, record: LogRecord) -> None:
        try:
            self.inner.handle(record)
        except Exception:  # a terminal that has gone must not stop the run
            self.handleError(record)

    def close(self) -> None:
        self.inner.close()
        super().close()
