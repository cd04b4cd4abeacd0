"""What becomes of text that people type, by Slack's rules for escaping."""

from __future__ import annotations

import pytest

from sandbox.slack.model import Channel, User, Usergroup
from sandbox.slack.typed import as_sent

USERS = [User("U1", "ada", "Ada Lovelace", "T1"), User("U2", "ada-two", "", "T1")]
CHANNELS = [Channel("C1", "releases", [])]
GROUPS = [Usergroup("S1", "owners", "Owners", ["U1"])]


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("deploy staging v1.4.0-rc.2", "deploy staging v1.4.0-rc.2"),
        ("ask @ada now", "ask <@U1|ada> now"),
        ("ask @Ada Lovelace now", "ask <@U1|ada> now"),
        ("ask @ada-two", "ask <@U2|ada-two>"),
        ("mail ada@example.com", "mail <mailto:ada@example.com|ada@example.com>"),
        ("in #releases!", "in <#C1|releases>!"),
        ("@owners @nobody", "<!subteam^S1|@owners> @nobody"),
        ("@here and @channel", "<!here> and <!channel>"),
        ("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d"),
        ("<@U1> <!channel>", "&lt;@U1&gt; &lt;!channel&gt;"),
        ("see https://x.dev/a?b=1&c=2 ok", "see <https://x.dev/a?b=1&amp;c=2> ok"),
        ("see example.com/x", "see <http://example.com/x|example.com/x>"),
        ("“smart” $(rm -rf /) \u200b", "“smart” $(rm -rf /) \u200b"),
        ("x" * 10_000, "x" * 10_000),
        ("\x000\x00 @ada", "0 <@U1|ada>"),
    ],
)
def test_typed_text_is_sent_as_slack_sends_it(typed, sent):
    assert as_sent(typed, USERS, CHANNELS, GROUPS) == sent
