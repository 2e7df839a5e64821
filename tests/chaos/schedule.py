"""Every fault that the pipeline is put under, in the order in which a run plays them."""

from tests.chaos.scenario import Scenario
from tests.chaos.scenarios import brokers, kills, loads, machines, networks, providers, restarts, stores, zombies

# Of the part that is played by the tests.
TEST_SEED = 1

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(name="control", act=loads.as_it_comes, judge=restarts.nothing_twice, short=True),
    Scenario(name="kill-at-points", act=kills.at_named_points, short=True),
    Scenario(name="kill-at-random", act=kills.at_random, short=True),
    Scenario(name="rolling-restart", act=restarts.rolling, judge=restarts.nothing_twice),
    Scenario(name="scale-1-4-1", act=restarts.scaling, judge=restarts.nothing_twice, short=True),
    Scenario(name="zombie", act=zombies.frozen, short=True),
    Scenario(name="broker-killed", act=brokers.killed, short=True),
    Scenario(name="broker-restarted", act=brokers.restarted),
    Scenario(name="postgres-down", act=stores.postgres_down, judge=stores.sending_went_on, short=True),
    Scenario(name="redis-down", act=stores.redis_down_and_flushed, judge=restarts.nothing_twice, short=True),
    *(
        Scenario(name=f"network-{server}", act=networks.before(server))
        for server in ("kafka", "postgres", "redis", "sms", "email", "push")
    ),
    Scenario(
        name="provider-down",
        act=providers.one_down,
        judge=providers.nothing_spent_and_nobody_noticed,
        short=True,
    ),
    Scenario(
        name="dead-letter-limit",
        act=providers.refuses_everybody,
        judge=providers.not_all_of_it_died,
        rate=60.0,
    ),
    Scenario(name="all-providers-down", act=providers.all_down),
    *(
        Scenario(name=f"provider-{name}", act=providers.failing(name, faults), short=name == "accept-then-reset")
        for name, faults in providers.KINDS.items()
    ),
    Scenario(name="clock-jumps", act=machines.clock_jumps, judge=restarts.nothing_twice),
    Scenario(name="damaged-tables", act=machines.damaged_tables, judge=restarts.nothing_twice),
    Scenario(name="full-disk", act=machines.full_disk),
    Scenario(name="poison", act=loads.as_it_comes, judge=restarts.nothing_twice, poison=0.1),
    Scenario(name="standing-still", act=loads.lagging, judge=restarts.nothing_twice),
    Scenario(name="three-brokers-killed", act=brokers.one_of_three_killed, brokers=3),
    Scenario(name="three-brokers-bounced", act=brokers.rolling_bounce, brokers=3),
    Scenario(name="kill-while-brokers-move", act=kills.while_brokers_move, brokers=3),
)
