"""The reloader of a service: what it logs, counts and audits."""

from collections.abc import Callable

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import AuditUnavailable, MintonceError
from mintonce_server.observability.audit import AuditLog, ReloadRecord
from mintonce_server.observability.logs import get_logger
from mintonce_server.observability.quiet import FaultLog, Reminder
from mintonce_server.reload.access import AccessFiles
from mintonce_server.reload.files import Reloader


def reloader_of(
    files: AccessFiles, audit: AuditLog, clock: Clock, faults: FaultLog, count: Callable[[str, str], None]
) -> Reloader:
    """Checks the files, and logs what it finds. `count`: called with the name and loaded or refused."""
    log, reminder = get_logger(__name__), Reminder(clock)

    def note(record: ReloadRecord) -> None:
        try:
            audit.write(record)
        except AuditUnavailable as error:  # the change stays in effect; calls are refused until the log can be written
            log.error("audit_unavailable", detail=str(error), remedy=error.remedy)  # noqa: TRY400 - its detail says all

    def loaded(what: str) -> None:
        log.info("reloaded", what=what)
        count(what, "loaded")
        note(ReloadRecord(what, "loaded"))

    def failed(what: str, error: MintonceError) -> None:
        log.error("reload_failed", what=what, detail=str(error), remedy=error.remedy)
        count(what, "refused")
        note(ReloadRecord(what, "refused"))

    def reopen_audit() -> None:
        try:
            audit.reopen()
        except AuditUnavailable as error:
            if reminder.is_due(str(error)):
                log.error("audit_unavailable", detail=str(error), remedy=error.remedy)  # noqa: TRY400 - its detail says all
        else:
            reminder.over()

    return Reloader(
        files.values,
        clock,
        on_loaded=loaded,
        on_error=failed,
        on_tick=reopen_audit,
        on_fault=faults,
    )
