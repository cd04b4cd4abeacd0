"""PostgreSQL by its own client programs: looked at, dumped, copied. It never writes to a database that it backs up."""

from integrations.postgres.connection import PostgresConnection
from integrations.postgres.database import PostgresDatabase
from integrations.postgres.programs import Program, ProgramFinder, Version, outdated

__all__ = ["PostgresConnection", "PostgresDatabase", "Program", "ProgramFinder", "Version", "outdated"]
