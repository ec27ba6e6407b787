"""Messages that no broker would accept are counted, and named at each tenfold."""

from structlog.testing import CapturingLogger

from sync.mqtt.oversized import OversizedPublishes


def test_messages_that_are_set_aside_are_logged_at_each_tenfold():
    log, oversized = CapturingLogger(), OversizedPublishes()
    oversized.log_news(log)
    for number in range(1, 121):
        oversized.add(f"v1/main/kiosk-1/up/{number}", 2_000_000, 1_048_576)
        oversized.log_news(log)
    assert [(call.method_name, call.kwargs["count"]) for call in log.calls] == [
        ("error", 1),
        ("error", 10),
        ("error", 100),
    ]
    assert "v1/main/kiosk-1/up/100" in log.calls[-1].kwargs["detail"]


def test_those_between_two_looks_are_named_once():
    log, oversized = CapturingLogger(), OversizedPublishes()
    for _ in range(25):
        oversized.add("v1/main/kiosk-1/up/evt", 2_000_000, 1_048_576)
    oversized.log_news(log)
    oversized.log_news(log)
    assert [call.kwargs["count"] for call in log.calls] == [25]
