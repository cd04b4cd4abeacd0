"""The people of the sandbox, their channels, and who holds which role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbox.slack import LocalSlack

ADA: Final = "U0ADA"
SAM: Final = "U0SAM"
PIA: Final = "U0PIA"
DORA: Final = "U0DORA"
DAN: Final = "U0DAN"
SEC: Final = "U0SEC"
OLLY: Final = "U0OLLY"
GUS: Final = "U0GUS"
GONE: Final = "U0XAVER"
ON_CALL: Final = "S0ONCALL"
RELEASES: Final = "C0RELEASES"
GENERAL: Final = "C0GENERAL"

PEOPLE = (
    (ADA, "ada", "Ada Adler", "Release Engineer"),
    (SAM, "sam", "Sam Sorel", "Service Owner"),
    (PIA, "pia", "Pia Paulsen", "Product"),
    (DORA, "dora", "Dora Dahl", "Database Owner"),
    (DAN, "dan", "Dan Dorn", "Database Owner"),
    (SEC, "sec", "Sec Seidel", "Security Owner"),
    (OLLY, "olly", "Olly Olsen", "Operations, on call"),
)
ROLES: Mapping[str, list[str]] = {
    "release_engineer": [ADA],
    "service_owner": [SAM],
    "product": [PIA],
    "operations": [OLLY],
    "on_call": [ON_CALL],
    "database_owner": [DORA, DAN],
    "security_owner": [SEC],
}


def settle(slack: LocalSlack) -> None:
    """Everybody moves in: full members, a guest, and one whose account is deactivated."""
    for user, name, real_name, title in PEOPLE:
        slack.add_user(user, name, real_name=real_name, title=title)
    slack.add_user(GUS, "gus", real_name="Gus Gast", title="Guest: may look, not act", is_restricted=True)
    slack.add_user(GONE, "xaver", real_name="Xaver Exler", title="Left the company", deleted=True)
    members = [person[0] for person in PEOPLE]
    slack.add_usergroup(ON_CALL, "on-call", [OLLY], name="On call")
    slack.add_channel(RELEASES, "releases", [*members, GUS], topic="What is released, by whom, and why it waits")
    slack.add_channel(GENERAL, "general", [*members, GUS], has_bot=False)
