"""`/forge backup list`, `adopt`, `hold` and `release`, and what `backup` and `restore` ask of their procedures.

Beginning a run of them is `engine.planned`'s business. Nothing here deletes or reads a backup's bytes.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

from engine.answers import Answer, done, info, refused
from engine.backup_adoption import Adopted, adopt_published
from engine.backup_views import backups_view, restore_choices
from engine.intents import Intent
from engine.journal import Turn
from engine.lanes import BACKUP, BASE_BACKUP, DRILL, RESTORE
from engine.lookups import Asking, Finish, saying
from engine.naming import service_named
from engine.records import BackupRow
from runbook.backups import BackupKind
from runbook.commands import BY_NAME
from runbook.errors import ForgeError
from runbook.moments import Unclear, parse_past, told
from runbook.plan import Plan
from runbook.policy import Service
from runbook.ports import Ports
from runbook.values import Actor, Environment
from runbook.wording import listing

HOLD, RELEASE, LIST, ADOPT = "hold", "release", "list", "adopt"
LONGEST_S = 20.0
"""Somebody waits for the answer; the command line gives up after 30 seconds."""
MOST_TOLD = 5
_DRILLS = ("drill", "verify")


def procedure_of(intent: Intent) -> str:
    """The procedure that a `backup` or `restore` begins; empty: it begins none."""
    if intent.name == "restore":
        return RESTORE
    if intent.name != "backup":
        return ""
    verb = intent.options.get("verb", "")
    if verb == "run":
        return BASE_BACKUP if intent.options.get("kind") == BackupKind.BASE.value else BACKUP
    return DRILL if verb in _DRILLS else ""


def options_of(intent: Intent, now: datetime) -> dict[str, str] | Answer:
    """`procedures.base.Request.options` from what was typed."""
    found = {name: intent.options[name] for name in ("backup", "from", "kind") if intent.options.get(name)}
    if "kind" in found and {"backup", "at"} & intent.options.keys():
        return refused("backup.one_of", "A drill is of the newest backup of a kind, or of what --backup or --at names.",
                       "Leave --kind out, or the other.")  # fmt: skip
    if intent.options.get("at"):
        moment = parse_past(intent.options["at"], now)
        if isinstance(moment, Unclear):
            return refused(moment.code, moment.cause, moment.remedy)
        found["at"] = moment.isoformat()
    if intent.name == "restore" and not {"backup", "at"} & found.keys():
        where = intent.environment.value if intent.environment is not None else "<env>"
        return refused("restore.what", "Name what to restore: a backup, or the moment to recover to.",
                       f"--backup <id> or --at <time>; `/forge backup list {where}` shows what there is.")  # fmt: skip
    return found


def not_there(service: str, environment: Environment, ports: Ports) -> Answer | None:
    """The refusal where no database of this service is configured there; None where one is."""
    if (service, environment) in ports.databases:
        return None
    places = sorted(env.value for name, env in ports.databases if name == service)
    known = f" There is one on {', '.join(places)}." if places else ""
    return refused("backup.not_configured", f"No database of {service} on {environment.value} is configured.{known}",
                   f"Add integrations.postgres.databases.{environment.value}.{service} to forge.yaml.")  # fmt: skip


async def look_up_backups(asking: Asking) -> Finish:
    """`/forge backup list <env>`: asked for outside of the transaction, for the recovery window reads every segment on record."""
    place = _place(asking.intent, service_named(asking.setting, asking.intent.service))
    if isinstance(place, Answer):
        return saying(place)
    service, environment = place
    if (no := not_there(service, environment, asking.ports)) is not None:
        return saying(no)
    now = asking.ports.clock.now()
    view = await asking.store.read(lambda ledger: backups_view(ledger, now, service, environment))
    number = "1 backup" if view.total == 1 else f"{view.total or 'No'} backups"
    text = f"{number} of {service} on {environment.value} {'is' if view.total == 1 else 'are'} on record."
    return saying(info("backup.list", text, view=view))


async def adopt_backups(asking: Asking) -> Finish:
    """`/forge backup adopt <env>`: what the repository has and the record doesn't know. What was cut off is gone on with when asked again."""
    place, ports = _place(asking.intent, service_named(asking.setting, asking.intent.service)), asking.ports
    if isinstance(place, Answer):
        return saying(place)
    if (no := not_there(*place, ports)) is not None:
        return saying(no)
    if ports.repository is None or ports.backup_ledger is None:
        return saying(refused("backup.not_configured", "No destination of backups is configured.",
                              "Add integrations.postgres.backups to forge.yaml."))  # fmt: skip
    try:
        async with asyncio.timeout(LONGEST_S):
            found = await adopt_published(ports.repository, ports.backup_ledger, {place}, operator=asking.actor.id)
    except ForgeError as error:
        return saying(refused(error.code, f"The repository can't be read: {error.cause}.", error.remedy or _AGAIN))
    except TimeoutError:
        text = f"The repository didn't give all answers within {LONGEST_S:g} s; what was found is on record."
        return saying(refused("backup.repository_slow", text, _AGAIN))
    return saying(_adopted(found, *place))


_AGAIN = "Ask again: what is on record isn't looked at twice."


def _adopted(found: Adopted, service: str, environment: Environment) -> Answer:
    where = f"{service} on {environment.value}"
    told = [f"{name} was left alone: {why}." for name, why in found.left[:MOST_TOLD]]
    if len(found.left) > MOST_TOLD:
        told.append(f"{len(found.left) - MOST_TOLD} more were left alone; forge's log names them at its next start.")
    if found.more:
        told.append(f"{found.more} older ones weren't looked at: ask again.")
    if not found.taken:
        return info("backup.nothing_to_adopt", " ".join([f"Nothing of {where} was taken on record.", *told]))
    names = listing(
        (*found.taken[:MOST_TOLD], *([f"{len(found.taken) - MOST_TOLD} more"] if len(found.taken) > MOST_TOLD else ()))
    )
    return done("backup.adopted", " ".join([f"On record now, as read back whole: {names}.", *told]))


def what_is_restored(plan: Plan) -> str:
    """Of a drill or a restore, for its answer: which backup, and to which moment. Empty where the plan doesn't say."""
    name, until = plan.about.get("backup", ""), plan.about.get("until", "")
    if not name:
        return ""
    return f", of {name}{f', recovered to {told(datetime.fromisoformat(until))}' if until else ''}"


def restore_choices_of(turn: Turn, intent: Intent, ports: Ports) -> Answer:
    """What the dialog of `/forge restore <env>` offers."""
    place = _place(intent, service_named(turn.setting, intent.service))
    if isinstance(place, Answer):
        return place
    service, environment = place
    if (no := not_there(service, environment, ports)) is not None:
        return no
    found = restore_choices(turn.ledger, turn.now, service, environment)
    if not found.lines:
        return refused("restore.nothing", f"No backup of {service} on {environment.value} was ever read back whole.",
                       f"Make one: `/forge backup run {environment.value}`")  # fmt: skip
    return info("restore.choices", "", view=found)


def hold_or_release(turn: Turn, intent: Intent, actor: Actor) -> Answer:
    """`/forge backup hold|release <env> --backup <id>`."""
    place = _place(intent, service_named(turn.setting, intent.service))
    if isinstance(place, Answer):
        return place
    service, environment = place
    row = turn.ledger.get(BackupRow, intent.options.get("backup", ""))
    if row is None or (row.service, row.environment) != (service, environment.value) or row.deleted_at is not None:
        named = intent.options.get("backup", "") or "without a name"
        return refused("backup.unknown", f"No backup {named} of {service} on {environment.value} is kept.",
                       f"`/forge backup list {environment.value}` shows those that are.")  # fmt: skip
    return (_hold if intent.options.get("verb") == HOLD else _release)(turn, row, actor, intent.reason)


def _hold(turn: Turn, row: BackupRow, actor: Actor, reason: str) -> Answer:
    if row.held_by:
        who = row.held_by_name or row.held_by
        return refused("backup.held", f"{row.id} is held already, by {who}: {row.held_reason or 'no reason given'}.",
                       f"`/forge backup release {row.environment} --backup {row.id}` lets it go.")  # fmt: skip
    turn.ledger.save(replace(row, held_by=actor.id, held_by_name=actor.name, held_reason=reason))
    turn.audit("backup.hold", row.id, actor, what=f"{row.service} on {row.environment}", why=reason)
    return done("backup.hold", f"{row.id} is held: no retention deletes it until it is released.")


def _release(turn: Turn, row: BackupRow, actor: Actor, reason: str) -> Answer:
    if not row.held_by:
        return info("backup.not_held", f"{row.id} isn't held.")
    turn.ledger.save(replace(row, held_by="", held_by_name="", held_reason=""))
    turn.audit("backup.released", row.id, actor, what=f"{row.service} on {row.environment}", why=reason,
               evidence={"held_by": row.held_by, "reason": row.held_reason})  # fmt: skip
    who = row.held_by_name or row.held_by
    return done("backup.released", f"{row.id} is released. {who} had held it: {row.held_reason or 'no reason given'}")


def _place(intent: Intent, service: Service | Answer) -> tuple[str, Environment] | Answer:
    if isinstance(service, Answer):
        return service
    if intent.environment is None:
        return refused("backup.environment", "Name the environment.", BY_NAME["backup"].usage)
    return service.name, intent.environment
