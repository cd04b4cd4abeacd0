"""The form of what a restored database is looked at for. Runbook: Restore Procedure, *post-restore checks*."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from runbook.backups import RestoreChecks
from runbook.documents.forms import Section, form
from runbook.source_facts import CHECKSUM_ROWS

Sql = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Table = Annotated[str, form(r"^[^\s.\"]{1,63}\.[^\s.\"]{1,63}$", "a table with its schema", "public.orders")]


class RestoreChecksSection(Section):
    schema_version: Sql | None = Field(
        default=None,
        description="SQL that gives one value, such as `SELECT max(version) FROM schema_migrations`: a restored database has to have one.",
    )
    tables: list[Table] = Field(
        default_factory=list, description="Critical tables, `schema.table`: their rows are counted."
    )
    minimum_rows: dict[Table, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict, description="Table → the fewest rows it may have."
    )
    smoke: list[Sql] = Field(
        default_factory=list, description="SQL statements whose one row has to begin with a true value."
    )

    checksum_rows: Annotated[int, Field(ge=0)] = Field(
        default=CHECKSUM_ROWS,
        description="Of critical tables with at most so many rows a backup records a checksum too, which a restored one is held against; larger "
        "ones are counted alone. 0: none has one.",
    )

    def checks(self) -> RestoreChecks:
        """Tables with a minimum are critical ones, too."""
        tables = dict.fromkeys((*self.tables, *self.minimum_rows))
        return RestoreChecks(
            self.schema_version or "", tuple(tables), tuple(self.smoke), dict(self.minimum_rows), self.checksum_rows
        )
