from pathlib import Path

from simulators.ledger import Ledger, Result, read_ledger


def test_counts_what_was_told_and_how_often(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.count_connection()
    number = ledger.begin_request()
    for message_id, result in [
        ("a", Result.ACCEPTED),
        ("a", Result.REPEAT),
        ("b", Result.FAILED),
        ("b", Result.ACCEPTED),
        ("b", Result.ACCEPTED),
    ]:
        ledger.record(number, message_id, "+7", "text", result)
    summary = ledger.summary()
    assert (summary.connections, summary.requests, summary.messages) == (1, 1, 5)
    assert (summary.distinct, summary.duplicates) == (2, 1)
    assert summary.results == {Result.ACCEPTED: 3, Result.REPEAT: 1, Result.FAILED: 1}
    ledger.close()
    assert [(entry.id, entry.result) for entry in read_ledger(tmp_path / "ledger")][:2] == [
        ("a", Result.ACCEPTED),
        ("a", Result.REPEAT),
    ]


def test_the_text_is_kept_as_a_hash_only(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.record(1, "a", "+7", "top secret", Result.ACCEPTED)
    ledger.close()
    assert "secret" not in (tmp_path / "ledger").read_text()


def test_appends_to_the_ledger_of_an_earlier_run(tmp_path: Path) -> None:
    for message_id in "ab":
        ledger = Ledger(tmp_path / "ledger")
        ledger.record(1, message_id, "+7", "text", Result.ACCEPTED)
        ledger.close()
    assert [entry.id for entry in read_ledger(tmp_path / "ledger")] == ["a", "b"]


def test_a_line_half_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    ledger = Ledger(path)
    ledger.record(1, "a", "+7", "text", Result.ACCEPTED)
    ledger.close()
    path.write_bytes(path.read_bytes() * 2 + b'{"at":1')
    assert len(list(read_ledger(path))) == 2
