from pipeline.errors import PermanentError, Unavailable, Unconfirmed
from pipeline.notifications import Channel
from pipeline.ports import Accepted
from providers.sms.batch_http import BatchHttpSms
from simulators.faults import CallFault, Faults
from simulators.launch import Kind, Simulator
from simulators.ledger import Result
from tests.integration.providers.provider_contract import CONNECTIONS, ProviderContract, kinds


class TestBatchHttpSms(ProviderContract):
    kind = Kind.SMS
    channel = Channel.SMS
    good, other, bad, busy = "+79000000001", "+79000000002", "+79000000003", "+79000000004"

    def make(self, simulator: Simulator, *, timeout_s: float) -> BatchHttpSms:
        url = simulator.environment()["HERALD_SMS_URL"]
        return BatchHttpSms(url, "simulated", timeout_s=timeout_s, connections=CONNECTIONS)

    async def test_results_for_other_ids_are_not_believed(self, simulator: Simulator) -> None:
        simulator.set_faults(Faults(call=CallFault.ACCEPT_THEN_WRONG_IDS))
        assert kinds(await self.send(simulator, self.note(self.good))) == [Unconfirmed]

    async def test_what_half_an_answer_leaves_out_is_unconfirmed_though_told(self, simulator: Simulator) -> None:
        simulator.set_faults(Faults(call=CallFault.ACCEPT_THEN_HALF))
        notes = [self.note(self.good) for _ in range(5)]
        assert kinds(await self.send(simulator, *notes)) == [Accepted] * 2 + [Unconfirmed] * 3
        assert [entry.result for entry in self.entries(simulator, *notes)] == [Result.ACCEPTED] * 5
        assert {entry.fault for entry in self.entries(simulator, *notes)} == {CallFault.ACCEPT_THEN_HALF}

    async def test_the_same_key_is_not_told_twice(self, simulator: Simulator) -> None:
        note = self.note(self.good)
        simulator.set_faults(Faults(call=CallFault.ACCEPT_THEN_RESET, limit=1))
        async with self.provider(simulator) as provider:
            first, second = [(await provider.send([note]))[0] for _ in range(2)]
        assert kinds([first, second]) == [Unconfirmed, Accepted]
        assert [entry.result for entry in self.entries(simulator, note)] == [Result.ACCEPTED, Result.REPEAT]

    async def test_a_call_refused_as_a_whole_is_halved(self, simulator: Simulator) -> None:
        simulator.set_faults(Faults(call=CallFault.ERROR, status=413, limit=1))
        before = simulator.summary().requests
        results = await self.send(simulator, *[self.note(self.good) for _ in range(4)])
        assert kinds(results) == [Accepted] * 4
        assert simulator.summary().requests == before + 3

    async def test_a_message_refused_alone_is_permanent(self, simulator: Simulator) -> None:
        simulator.set_faults(Faults(call=CallFault.ERROR, status=422))
        results = await self.send(simulator, self.note(self.good), self.note(self.other))
        assert kinds(results) == [PermanentError] * 2

    async def test_wrong_credentials_can_be_put_right(self, simulator: Simulator) -> None:
        simulator.set_faults(Faults(call=CallFault.UNAUTHORIZED))
        (result,) = await self.send(simulator, self.note(self.good))
        assert type(result) is Unavailable
        assert result.code == "401"
