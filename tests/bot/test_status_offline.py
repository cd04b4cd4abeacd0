"""`forge status` without a running bot: what the database says of every place, and nobody is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from bot.offline import answer_offline
from engine.records import Decision
from engine.views import StatusView
from messages.plain import to_json, to_text
from state.store import open_store

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_what_runs_where_is_told_from_the_database_alone(tmp_path: Path) -> None:
    store = open_store("", data_dir=tmp_path)
    results = (("dev-1", "dev", "3f2a91c0d4be", "validated"), ("prod-1", "prod", "v1.3.0", "released"))
    for run, environment, version, result in results:
        row = Decision(
            run=run,
            service="shop",
            environment=environment,
            version=version,
            result=result,
            release={},
            approvers=[],
            at=AT,
        )
        store.write_now(lambda ledger, row=row: ledger.add(row))  # type: ignore[misc]
    store.close()
    answer = answer_offline(["status"], {"FORGE_DATA_DIR": str(tmp_path)})
    assert isinstance(answer.view, StatusView)
    assert [(p.environment, p.version, p.is_asked) for p in answer.view.places] == [
        ("dev", "3f2a91c0d4be", False),
        ("prod", "v1.3.0", False),
    ]
    assert "v1.3.0" in to_text(answer)
    assert to_json(answer)["view"]["places"][1]["since"] == AT.isoformat()
