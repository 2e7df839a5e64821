"""Did the pipeline keep its promises in one scenario? Judged from what every party remembers; pure.

Each module of `tests.chaos.checks` answers for one promise; what one of them finds the others leave to it, so that one
thing that went wrong is one violation a notification.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from pipeline.notifications import Channel
from tests.chaos.account import Account, Fault
from tests.chaos.checks import agreement, causes, circuits, endings, letters, offsets, repeats, telling
from tests.chaos.facts import Facts
from tests.chaos.published import Kind, Told
from tests.chaos.verdict import Verdict, Violation

CHECKS: Sequence[Callable[[Facts], list[Violation]]] = (
    endings.check,
    causes.check,
    agreement.check,
    telling.check,
    letters.check,
    circuits.check,
    offsets.check,
)


def check(account: Account) -> Verdict:
    """The account must have been read when all was quiet: what is on its way is a violation, `Breach.UNFINISHED`."""
    facts = Facts(account)
    again = repeats.count(facts)
    violations = [one for look in CHECKS for one in look(facts)] + [*again.violations]
    documents = [line for line in account.lines if line.kind is not Kind.SUBSCRIPTION]
    unknown = [line for line in documents if line.told is not Told.OK]
    return Verdict(
        events=sum(facts.has_arrived(line) for line in documents if line.kind is Kind.EVENT),
        poisons=len(facts.poisons),
        unknown=len(unknown),
        unknown_arrived=sum(line.id in facts.arrivals for line in unknown),
        notifications=len(facts.owed),
        ended=sum(owed.id in facts.rows for owed in facts.owed),
        statuses=Counter(row.status.value for row in account.rows),
        told_twice={channel: again.told_twice[channel] for channel in Channel},
        bound=bounds(account.faults),
        honoured={channel: again.honoured[channel] for channel in Channel},
        early_in_doubt=again.early_in_doubt,
        words_repeated=len(account.words) - len(facts.words),
        dead_letters=len(account.letters),
        violations=tuple(violations),
    )


def bounds(faults: Sequence[Fault]) -> dict[Channel, int]:
    """How many messages of each channel the faults may have had told again."""
    return {
        channel: sum(fault.in_flight for fault in faults if fault.channel in (None, channel)) for channel in Channel
    }
