"""manage.py verify_audit: is the audit log as it was written?"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accesscontrol import audit
from accesscontrol.models import AuditEntry


class Command(BaseCommand):
    help = "Checks the hash chain of the audit log; exit code 1 if an entry does not fit."

    def handle(self, *args: Any, **options: Any) -> None:
        broken = audit.first_broken_entry()
        if broken is not None:
            raise CommandError(
                f"The audit log is broken at entry {broken}: it was changed, or the entry before "
                "it was changed, removed or moved. Compare it with a backup."
            )
        self.stdout.write(f"The audit log is whole: {AuditEntry.objects.count()} entries.")
