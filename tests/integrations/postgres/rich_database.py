"""A database with something of everything that PostgreSQL keeps in one, and questions whose answers say what is in it.

The questions are the tests' own: nothing here asks the product.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import psycopg

_HERE: Final = Path(__file__).parent
EXTENSIONS: Final = ("citext", "hstore", "pg_trgm", "btree_gist", "vector")
"""Where the installation has them."""

NONDETERMINISTIC: Final = (
    "CREATE COLLATION stock.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
)

_MINE: Final = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'"
_NO_EXTENSION: Final = "NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = {oid} AND e.classid = '{catalogue}'::regclass AND e.deptype = 'e')"


def _acl(column: str, kind: str, owner: str) -> str:
    """An access list in one order, the default one where there is none."""
    return f"(SELECT array_agg(a::text ORDER BY a::text COLLATE \"C\") FROM unnest(coalesce({column}, acldefault('{kind}', {owner}))) a)"


QUESTIONS: Final = {
    "schemas": f"SELECT nspname, nspowner::regrole, {_acl('nspacl', 'n', 'nspowner')} FROM pg_namespace n WHERE {_MINE} ORDER BY 1",
    "relations": f"""SELECT c.oid::regclass, relkind, relowner::regrole, relpersistence, relrowsecurity, relforcerowsecurity, relreplident,
      reloptions,
      relispartition, pg_get_expr(relpartbound, c.oid), pg_get_partkeydef(c.oid), reloftype::regtype,
      {_acl("relacl", "r", "relowner")} FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      WHERE {_MINE} AND relkind <> 'S'
      ORDER BY c.oid::regclass::text COLLATE "C" """,
    "columns": f"""SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
      attcollation::regcollation,
      attstorage, coalesce(attstattarget, -1), attoptions, attislocal, attinhcount, pg_get_expr(adbin, adrelid),
      (SELECT array_agg(a::text ORDER BY a::text COLLATE "C") FROM unnest(attacl) a)
      FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
      LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE {_MINE} AND attnum > 0 AND NOT attisdropped
      ORDER BY attrelid::regclass::text COLLATE "C", (SELECT count(*) FROM pg_attribute b WHERE b.attrelid = a.attrelid AND b.attnum < a.attnum
        AND NOT b.attisdropped)""",
    "inheritance": "SELECT inhrelid::regclass, inhparent::regclass, inhseqno FROM pg_inherits ORDER BY inhrelid::regclass::text, 3",
    "constraints": f"""SELECT conrelid::regclass, contypid::regtype, conname, contype, condeferrable, condeferred, convalidated,
      contype = 'c' AND connoinherit,
      pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_namespace n ON n.oid = connamespace WHERE {_MINE}
      ORDER BY conrelid::regclass::text COLLATE "C", contypid::regtype::text, conname, pg_get_constraintdef(c.oid)""",
    "indexes": f"""SELECT indexrelid::regclass, indisvalid, indisclustered, indisreplident, indisunique, pg_get_indexdef(indexrelid), c.reloptions
      FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_namespace n ON n.oid = relnamespace WHERE {_MINE}
      ORDER BY indexrelid::regclass::text COLLATE "C" """,
    "sequence definitions": """SELECT schemaname, sequencename, sequenceowner, data_type, start_value, min_value, max_value, increment_by,
      cycle, cache_size
      FROM pg_sequences ORDER BY 1, 2""",
    "owned sequences": """SELECT objid::regclass, refobjid::regclass, refobjsubid > 0, deptype FROM pg_depend JOIN pg_class ON pg_class.oid = objid
      WHERE relkind = 'S' AND classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a',
      'i') ORDER BY objid::regclass::text""",
    "sequence grants": f"""SELECT c.oid::regclass, {_acl("relacl", "s", "relowner")} FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      WHERE {_MINE} AND relkind = 'S' ORDER BY c.oid::regclass::text""",
    "views": f"SELECT c.oid::regclass, pg_get_viewdef(c.oid), relispopulated FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
    f"WHERE {_MINE} AND relkind IN ('v', 'm') ORDER BY c.oid::regclass::text",
    "functions": f"""SELECT p.oid::regprocedure, proowner::regrole, CASE WHEN prokind <> 'a' THEN pg_get_functiondef(p.oid) END,
      {_acl("proacl", "f", "proowner")} FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
      WHERE {_MINE} AND {_NO_EXTENSION.format(oid="p.oid", catalogue="pg_proc")} ORDER BY p.oid::regprocedure::text COLLATE "C" """,
    "aggregates": "SELECT aggfnoid::regprocedure, aggtransfn, agginitval, aggtranstype::regtype FROM pg_aggregate JOIN pg_proc p ON p.oid = aggfnoid "
    f"WHERE {_NO_EXTENSION.format(oid='p.oid', catalogue='pg_proc')} AND aggfnoid >= 16384 ORDER BY 1",
    "types": f"""SELECT t.oid::regtype, typtype, typowner::regrole, typnotnull, typdefault, typcollation::regcollation, typbasetype::regtype,
      {_acl("typacl", "T", "typowner")}, (SELECT array_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)
      FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace WHERE {_MINE} AND {_NO_EXTENSION.format(oid="t.oid", catalogue="pg_type")}
      ORDER BY t.oid::regtype::text COLLATE "C" """,
    "ranges": f"SELECT rngtypid::regtype, rngsubtype::regtype, rngsubdiff, rngmultitypid::regtype FROM pg_range WHERE rngtypid >= 16384 "
    f"AND {_NO_EXTENSION.format(oid='rngtypid', catalogue='pg_type')} ORDER BY rngtypid::regtype::text",
    "triggers": "SELECT tgrelid::regclass, tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal "
    "ORDER BY tgrelid::regclass::text, 2",
    "event triggers": "SELECT evtname, evtevent, evtowner::regrole, evtfoid::regproc, evtenabled, evttags FROM pg_event_trigger ORDER BY 1",
    "rules": f"SELECT ev_class::regclass, rulename, ev_enabled, pg_get_ruledef(r.oid) FROM pg_rewrite r JOIN pg_class c ON c.oid = ev_class "
    f"JOIN pg_namespace n ON n.oid = relnamespace WHERE {_MINE} ORDER BY ev_class::regclass::text, 2",
    "policies": "SELECT schemaname, tablename, policyname, permissive, array(SELECT r::text FROM unnest(roles) r ORDER BY 1), cmd, qual, with_check "
    "FROM pg_policies ORDER BY 1, 2, 3",
    "statistics": "SELECT stxname, stxowner::regrole, stxkind, pg_get_statisticsobjdef(oid) FROM pg_statistic_ext ORDER BY 1",
    "default privileges": """SELECT defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, array(SELECT a::text
      FROM unnest(defaclacl) a ORDER BY 1)
      FROM pg_default_acl ORDER BY 1::text, 2::text, 3""",
    "comments": """SELECT (pg_identify_object(classoid, objoid, objsubid)).type, (pg_identify_object(classoid, objoid, objsubid)).identity,
      description
      FROM pg_description WHERE objoid >= 16384 OR classoid = 'pg_largeobject'::regclass ORDER BY 1, 2, 3""",
    "collations": f"SELECT collname, collowner::regrole, collprovider, collisdeterministic FROM pg_collation c JOIN pg_namespace n ON n.oid "
    f"= collnamespace "
    f"WHERE {_MINE} ORDER BY 1",
    "extensions": "SELECT extname, extversion, extowner::regrole, extnamespace::regnamespace FROM pg_extension ORDER BY 1",
    "operators and casts": """SELECT 'operator', oid::regoperator::text, oprcode::text, oprowner::regrole::text FROM pg_operator o WHERE oid >= 16384
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = o.oid AND e.deptype = 'e') UNION ALL
      SELECT 'cast', castsource::regtype::text, casttarget::regtype::text, castcontext::text FROM pg_cast c WHERE oid >= 16384
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = c.oid AND e.deptype = 'e') ORDER BY 1, 2, 3""",
    "text search": "SELECT cfgname, cfgowner::regrole, (SELECT count(*) FROM pg_ts_config_map WHERE mapcfg = oid) FROM pg_ts_config ORDER BY 1, 2",
    "foreign": """SELECT srvname, srvowner::regrole, srvacl::text, (SELECT array_agg(usename::text) FROM pg_user_mappings m WHERE m.srvid = s.oid),
      (SELECT fdwowner::regrole FROM pg_foreign_data_wrapper f WHERE f.oid = srvfdw) FROM pg_foreign_server s""",
    "large objects": """SELECT oid, lomowner::regrole, array(SELECT a::text FROM unnest(lomacl) a ORDER BY 1), encode(lo_get(oid), 'hex')
      FROM pg_largeobject_metadata ORDER BY 1""",
    "the database": f"""SELECT datname, datdba::regrole, pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit, {_acl("datacl",
      "d", "datdba")},
      shobj_description(oid, 'pg_database') FROM pg_database d WHERE datname = current_database()""",
    "its settings": "SELECT setrole, setconfig FROM (SELECT CASE setrole WHEN 0 THEN '' ELSE setrole::regrole::text END AS setrole, setconfig FROM "
    "pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database()) s ORDER BY 1",
}  # fmt: skip

SEQUENCE_VALUES: Final = "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2"
PUBLICATIONS: Final = (
    "SELECT pubname, pubowner::regrole, puballtables, (SELECT count(*) FROM pg_publication_tables) FROM pg_publication"
)
_RELATIONS: Final = f"""SELECT c.oid::regclass::text, relpersistence FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE {_MINE} AND (relkind IN ('r', 'p', 'v') OR relkind = 'm' AND relispopulated) ORDER BY 1"""
_EXACTLY: Final = "SET search_path = pg_catalog; SET timezone = 'Asia/Kathmandu'; SET extra_float_digits = 3"

Answers = dict[str, list[tuple[object, ...]]]


def fill(session: psycopg.Connection[tuple[object, ...]]) -> None:
    """Into a database `shop`. session: of a superuser, by itself in each statement's transaction."""
    major = session.info.server_version // 10_000
    found = session.execute("SELECT name FROM pg_available_extensions").fetchall()
    here = {str(name) for (name,) in found}
    for name in EXTENSIONS:
        if name in here:
            session.execute(f"CREATE EXTENSION {name}".encode())
    for name in ("rich.sql", "rich_18.sql")[: 2 if major >= 18 else 1]:
        for lines in filter(str.strip, (_HERE / name).read_text(encoding="utf-8").split(";\n")):
            session.execute(lines.encode())
    with contextlib.suppress(psycopg.errors.FeatureNotSupported):  # a build without ICU
        session.execute(NONDETERMINISTIC.encode())


def rows_of(
    session: psycopg.Connection[tuple[object, ...]], *, unlogged: bool = True
) -> dict[str, tuple[object, ...] | None]:
    """Of each table and view how many rows, and a checksum of them in order. unlogged: those tables too."""
    session.execute(_EXACTLY.encode())
    answers = {}
    for name, persistence in session.execute(_RELATIONS.encode()).fetchall():
        if unlogged or persistence != "u":
            question = f'SELECT count(*), md5(string_agg("r!"::text, E\'\\n\' ORDER BY "r!"::text COLLATE "C")) FROM {name} AS "r!"'
            answers[str(name)] = session.execute(question.encode()).fetchone()
    return answers


def catalogue_of(session: psycopg.Connection[tuple[object, ...]]) -> Answers:
    session.execute(_EXACTLY.encode())
    return {name: session.execute(question.encode()).fetchall() for name, question in QUESTIONS.items()}
