"""What `pipeline.ports.Provider` promises, for every adapter, against a provider in a process of its own."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from pipeline.errors import DeliveryError, PermanentError, Throttled, TransientError, Unavailable, Unconfirmed
from pipeline.notifications import Channel, Lane, Notification
from pipeline.ports import Accepted, Provider, SendResult
from simulators.faults import CallFault, Faults, Refusal
from simulators.launch import Kind, Simulator
from simulators.ledger import Entry, Result

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PATIENCE_S = 5.0
SHORT_S = 1.5
CONNECTIONS = 4


def notification(channel: Channel, address: str, *, recipient: str | None = None, body: str = "") -> Notification:
    return Notification(
        id=str(uuid.uuid4()),
        event_id="event",
        shipment_id="shipment",
        recipient=recipient or address,
        channel=channel,
        lane=Lane.BULK,
        address=address,
        title="Груз прибыл",
        body=body or "Контейнер MSKU1234567 прибыл.",
        template="arrived",
        template_version=1,
        locale="ru",
        created_at=NOW,
        expires_at=NOW,
    )


def kinds(results: Sequence[SendResult]) -> list[type[SendResult]]:
    return [type(result) for result in results]


class ProviderContract:
    kind: Kind
    channel: Channel
    good, other, bad, busy = "good", "other", "bad", "busy"
    # What the protocol lets the adapter know:
    throttled_kind: type[DeliveryError] = Throttled
    throttled_wait_s: float | None = 7.0
    reset_kind: type[DeliveryError] = Unconfirmed
    error_kind: type[DeliveryError] = Unavailable
    busy_kind: type[DeliveryError] = TransientError
    doubtful_status = 500
    doubtful_kind: type[DeliveryError] = Unconfirmed

    def make(self, simulator: Simulator, *, timeout_s: float) -> Provider:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def process(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
        with Simulator(cls.kind, tmp_path_factory.mktemp(cls.kind)) as simulator:
            yield simulator

    @pytest.fixture
    def simulator(self, process: Simulator) -> Simulator:
        process.set_faults()
        return process

    @asynccontextmanager
    async def provider(self, simulator: Simulator, *, timeout_s: float = PATIENCE_S) -> AsyncIterator[Provider]:
        provider = self.make(simulator, timeout_s=timeout_s)
        await provider.start()
        try:
            yield provider
        finally:
            await provider.stop()

    def note(self, address: str, **more: str) -> Notification:
        return notification(self.channel, address, **more)

    async def send(self, simulator: Simulator, *notes: Notification, timeout_s: float = PATIENCE_S) -> list[SendResult]:
        """One call, which must end in time whatever goes wrong."""
        async with self.provider(simulator, timeout_s=timeout_s) as provider:
            async with asyncio.timeout(timeout_s + 1.0):
                return list(await provider.send(notes))

    def entries(self, simulator: Simulator, *notes: Notification) -> list[Entry]:
        ids = {note.id for note in notes}
        return [entry for entry in simulator.ledger() if entry.id in ids]

    async def test_accepts_all_with_references(self, simulator: Simulator) -> None:
        notes = [self.note(self.good), self.note(self.other)]
        results = await self.send(simulator, *notes)
        assert kinds(results) == [Accepted, Accepted]
        assert len({result.reference for result in results if isinstance(result, Accepted) and result.reference}) == 2
        told = {(entry.id, entry.to, entry.result) for entry in self.entries(simulator, *notes)}
        assert told == {(note.id, note.address, Result.ACCEPTED) for note in notes}

    async def test_no_messages_no_results(self, simulator: Simulator) -> None:
        assert await self.send(simulator) == []

    async def test_keeps_the_order_of_a_recipient(self, simulator: Simulator) -> None:
        # A long body takes the server longer than the short one behind it, which would overtake if it could.
        bodies = ["x\n" * 15_000, "short"] * 6
        notes = [self.note(address, body=body) for body in bodies for address in (self.good, self.other)]
        assert set(kinds(await self.send(simulator, *notes))) == {Accepted}
        for address in (self.good, self.other):
            told = [entry.id for entry in self.entries(simulator, *notes) if entry.to == address]
            assert told == [note.id for note in notes if note.address == address]

    async def test_a_refusal_concerns_its_message_alone(self, simulator: Simulator) -> None:
        simulator.set_faults(
            Faults(refuse=(Refusal(pattern=self.bad), Refusal(pattern=self.busy, retryable=True))),
        )
        notes = [self.note(address) for address in (self.good, self.bad, self.other, self.busy, self.good)]
        results = await self.send(simulator, *notes)
        assert kinds(results) == [Accepted, PermanentError, Accepted, self.busy_kind, Accepted]
        for result in results:
            if isinstance(result, DeliveryError):
                assert result.code
                assert self.bad not in str(result)
                assert self.busy not in str(result)

    async def test_refused_connection_is_nobodys_message(self, simulator: Simulator) -> None:
        simulator.set_faults(Faults(down=True))
        assert kinds(await self.send(simulator, self.note(self.good), self.note(self.other))) == [Unavailable] * 2

    async def test_works_again_when_the_provider_is_back(self, simulator: Simulator) -> None:
        async with self.provider(simulator) as provider:
            assert kinds(await provider.send([self.note(self.good)])) == [Accepted]
            simulator.set_faults(Faults(down=True))
            assert kinds(await provider.send([self.note(self.good)])) != [Accepted]
            simulator.set_faults()
            assert kinds(await provider.send([self.note(self.good)])) == [Accepted]

    async def test_silence_is_unconfirmed_in_time(self, simulator: Simulator) -> None:
        simulator.set_faults(Faults(latency_ms=60_000))
        results = await self.send(simulator, self.note(self.good), self.note(self.other), timeout_s=SHORT_S)
        assert kinds(results) == [Unconfirmed] * 2

    async def test_what_had_no_time_left_spends_no_attempt(self, simulator: Simulator) -> None:
        """More recipients than connections: those behind were never called for."""
        simulator.set_faults(Faults(call=CallFault.ACCEPT_THEN_TIMEOUT))
        async with self.provider(simulator, timeout_s=SHORT_S) as provider:
            calls = [provider.send([self.note(self.good)]) for _ in range(CONNECTIONS + 2)]
            results = [result for answer in await asyncio.gather(*calls) for result in answer]
        assert sorted(kind.__name__ for kind in kinds(results)) == ["Throttled"] * 2 + ["Unconfirmed"] * CONNECTIONS

    @pytest.mark.parametrize("fault", [CallFault.ACCEPT_THEN_TIMEOUT, CallFault.ACCEPT_THEN_RESET])
    async def test_a_lost_answer_is_unconfirmed_though_told(self, simulator: Simulator, fault: CallFault) -> None:
        simulator.set_faults(Faults(call=fault))
        note = self.note(self.good)
        assert kinds(await self.send(simulator, note, timeout_s=SHORT_S)) == [Unconfirmed]
        assert [entry.result for entry in self.entries(simulator, note)] == [Result.ACCEPTED]

    async def test_a_garbled_answer_is_unconfirmed(self, simulator: Simulator) -> None:
        simulator.set_faults(Faults(call=CallFault.ACCEPT_THEN_GARBAGE))
        assert kinds(await self.send(simulator, self.note(self.good))) == [Unconfirmed]

    async def test_reset(self, simulator: Simulator) -> None:
        simulator.set_faults(Faults(call=CallFault.RESET))
        note = self.note(self.good)
        (result,) = await self.send(simulator, note)
        assert type(result) is self.reset_kind
        assert "connection" in result.problem
        assert self.entries(simulator, note) == []

    async def test_throttling(self, simulator: Simulator) -> None:
        simulator.set_faults(Faults(call=CallFault.THROTTLE, retry_after_s=7))
        results = await self.send(simulator, self.note(self.good), self.note(self.other))
        assert kinds(results) == [self.throttled_kind] * 2
        assert [getattr(result, "retry_after_s", "absent") for result in results] == [self.throttled_wait_s] * 2

    async def test_unavailable(self, simulator: Simulator) -> None:
        simulator.set_faults(Faults(call=CallFault.ERROR))
        assert kinds(await self.send(simulator, self.note(self.good))) == [self.error_kind]

    async def test_a_status_that_leaves_doubt(self, simulator: Simulator) -> None:
        simulator.set_faults(Faults(call=CallFault.ERROR, status=self.doubtful_status))
        (result,) = await self.send(simulator, self.note(self.good))
        assert type(result) is self.doubtful_kind

    async def test_fails_three_times_then_works(self, simulator: Simulator) -> None:
        simulator.set_faults(Faults(fail_first=3))
        note = self.note(self.good)
        async with self.provider(simulator) as provider:
            tries = [kinds(await provider.send([note]))[0] for _ in range(4)]
        assert tries == [self.busy_kind] * 3 + [Accepted]

    async def test_connections_are_reused(self, simulator: Simulator) -> None:
        before = simulator.summary().connections
        async with self.provider(simulator) as provider:
            for _ in range(5):
                assert kinds(await provider.send([self.note(self.good)])) == [Accepted]
        assert simulator.summary().connections == before + 1

    async def test_a_cancelled_call_spoils_no_later_one(self, simulator: Simulator) -> None:
        async with self.provider(simulator) as provider:
            simulator.set_faults(Faults(latency_ms=300))
            before = simulator.summary().requests
            call = asyncio.create_task(asyncio.wait_for(provider.send([self.note(self.good)]), PATIENCE_S))
            for _ in range(500):
                if simulator.summary().requests > before:
                    break
                await asyncio.sleep(0.01)
            call.cancel()
            await asyncio.wait({call})
            assert call.cancelled()
            simulator.set_faults()
            assert kinds(await provider.send([self.note(self.good), self.note(self.other)])) == [Accepted] * 2

    async def test_a_fault_spoils_no_later_call(self, simulator: Simulator) -> None:
        async with self.provider(simulator, timeout_s=SHORT_S) as provider:
            for fault in CallFault:
                simulator.set_faults(Faults(call=fault))
                await provider.send([self.note(self.good)])
                simulator.set_faults()
                assert kinds(await provider.send([self.note(self.good), self.note(self.other)])) == [Accepted] * 2
