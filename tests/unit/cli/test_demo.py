"""What a demo that is kept prints is copied to another terminal: no line of it may be broken."""

import io
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

from rich.console import Console

from cli.demo import print_ways_in
from cli.local import LocalPipeline
from simulators.feed import TopicKind, journeys

KEY = "a-key-of-some-length-0123456789"


def test_lines_are_whole_on_a_narrow_terminal() -> None:
    environment = {"HERALD_KAFKA": "127.0.0.1:1", "HERALD_SMS_TOKEN": "x y", "HERALD_API_KEYS": "digest"}
    pipeline = SimpleNamespace(api_url="http://127.0.0.1:2", api_key=KEY, environment=environment)
    feed = journeys(1, 3, datetime.now(UTC))
    console = Console(file=io.StringIO(), width=20)
    print_ways_in(console, cast(LocalPipeline, pipeline), feed)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    (call,) = [line for line in lines if line.startswith("curl")]
    shipment = call.rpartition("=")[2].rstrip("'")
    assert call == f"curl -H 'X-API-Key: {KEY}' 'http://127.0.0.1:2/v1/notifications?shipment_id={shipment}'"
    assert shipment.encode() in {one.key for one in feed.records if one.topic_kind is TopicKind.SUBSCRIPTIONS}
    exports = [line for line in lines if line.startswith("export")]
    assert exports == ["export HERALD_KAFKA=127.0.0.1:1", "export HERALD_SMS_TOKEN='x y'"]
