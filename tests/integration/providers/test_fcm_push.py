import asyncio
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.errors import DeliveryError, PermanentError, Throttled, TransientError, Unavailable, Unconfirmed
from pipeline.notifications import Channel
from pipeline.ports import Accepted
from providers.push.fcm import FcmPush
from providers.push.service_account import ServiceAccount
from simulators.faults import CallFault, Faults, Refusal
from simulators.key_file import write_key_file
from simulators.launch import Kind, Simulator
from tests.integration.providers.provider_contract import CONNECTIONS, ProviderContract, kinds


class TestFcmPush(ProviderContract):
    kind = Kind.FCM
    channel = Channel.PUSH
    busy_kind = Unavailable  # its word for a message that may work later says that FCM is overloaded
    good, other, bad, busy = "token-good", "token-other", "token-bad", "token-busy"

    def make(self, simulator: Simulator, *, timeout_s: float) -> FcmPush:
        account = ServiceAccount.load(simulator.credentials_path)
        return FcmPush(simulator.url, account, timeout_s=timeout_s, concurrency=CONNECTIONS)

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("UNREGISTERED", PermanentError),
            ("SENDER_ID_MISMATCH", PermanentError),
            ("INVALID_ARGUMENT", PermanentError),
            ("QUOTA_EXCEEDED", Throttled),
            ("UNAVAILABLE", Unavailable),
            ("INTERNAL", Unconfirmed),
            ("THIRD_PARTY_AUTH_ERROR", TransientError),
        ],
    )
    async def test_error_codes(self, simulator: Simulator, code: str, kind: type[DeliveryError]) -> None:
        simulator.set_faults(Faults(refuse=(Refusal(pattern=self.bad, code=code),)))
        (result,) = await self.send(simulator, self.note(self.bad))
        assert type(result) is kind
        assert result.code == code

    async def test_a_recipient_gets_one_message_at_a_time(self, simulator: Simulator) -> None:
        simulator.set_faults(Faults(latency_ms=60))
        notes = [self.note(self.good) for _ in range(3)]
        assert kinds(await self.send(simulator, *notes)) == [Accepted] * 3
        told_at = [entry.at for entry in self.entries(simulator, *notes)]
        assert all(after - before > 0.05 for before, after in pairwise(told_at))

    async def test_one_token_serves_all_who_ask_at_once(self, simulator: Simulator) -> None:
        before = simulator.summary().tokens
        async with self.provider(simulator) as provider:
            await asyncio.gather(*(provider.send([self.note(self.good)]) for _ in range(20)))
        assert simulator.summary().tokens == before + 1

    async def test_a_token_turned_down_is_renewed_once(self, simulator: Simulator) -> None:
        before = simulator.summary()
        simulator.set_faults(Faults(call=CallFault.UNAUTHORIZED, limit=1))
        assert kinds(await self.send(simulator, self.note(self.good))) == [Accepted]
        assert simulator.summary().tokens == before.tokens + 2

        simulator.set_faults(Faults(call=CallFault.UNAUTHORIZED))
        assert kinds(await self.send(simulator, self.note(self.good))) == [Unavailable]
        assert simulator.summary().requests == before.requests + 4

    async def test_a_key_that_the_provider_does_not_know(self, simulator: Simulator, tmp_path: Path) -> None:
        write_key_file(tmp_path / "foreign.json", token_uri=f"{simulator.url}/token")
        account = ServiceAccount.load(tmp_path / "foreign.json")
        provider = FcmPush(simulator.url, account, timeout_s=5.0, concurrency=CONNECTIONS)
        before = simulator.summary().requests
        await provider.start()
        results = await provider.send([self.note(self.good), self.note(self.other)])
        await provider.stop()
        assert kinds(results) == [Unavailable] * 2
        assert simulator.summary().requests == before


class TestShortLivedTokens:
    @pytest.fixture
    def simulator(self, tmp_path: Path) -> Iterator[Simulator]:
        with Simulator(Kind.FCM, tmp_path, "--token-lifetime-s", "0.4") as simulator:
            yield simulator

    async def test_are_renewed_before_they_expire(self, simulator: Simulator) -> None:
        contract = TestFcmPush()
        async with contract.provider(simulator) as provider, asyncio.timeout(10.0):
            while simulator.summary().tokens < 3:
                assert kinds(await provider.send([contract.note(contract.good)])) == [Accepted]
        # No call was turned down on the way: each one that came in was told.
        assert simulator.summary().requests == simulator.summary().messages
