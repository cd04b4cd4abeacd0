"""`python -m sandbox.slack`: the local workspace alone, to be looked at by hand."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys

from sandbox.slack.server import LocalSlack

PEOPLE = (
    ("U0ADA", "ada", "Ada Lovelace", "Release Engineer"),
    ("U0GRACE", "grace", "Grace Hopper", "Service Owner"),
    ("U0KATHERINE", "katherine", "Katherine Johnson", "Product"),
)


async def serve(port: int) -> None:
    slack = LocalSlack()
    for user_id, name, real_name, title in PEOPLE:
        slack.add_user(user_id, name, real_name=real_name, title=title)
    members = [person[0] for person in PEOPLE]
    slack.add_channel("C0RELEASES", "releases", members, topic="Releases and nothing else")
    slack.add_channel("C0GENERAL", "general", members)
    slack.add_usergroup("S0OWNERS", "service-owners", ["U0GRACE"])
    address = await slack.start(port=port)
    sys.stdout.write(
        f"Page: {address}\n\nexport SLACK_API_URL={slack.api_url}\nexport SLACK_BOT_TOKEN={slack.bot_token}\n"
        f"export SLACK_APP_TOKEN={slack.app_token}\nexport SLACK_SIGNING_SECRET={slack.signing_secret}\n"
    )
    sys.stdout.flush()
    try:
        await asyncio.Event().wait()
    finally:
        await slack.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.slack", description=__doc__)
    parser.add_argument("--port", type=int, default=8065, help="0 takes a free one (default: %(default)s)")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
