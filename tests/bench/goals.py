"""What shall the figures be?"""

# Beside the hand-written job: twice as fast, for half of its CPU.
RATIO = 2.0
CPU_RATIO = 0.5

# From the event to the row, with providers that take 50 ms; the median.
IDLE_MS = 150.0
# The 99th percentile of urgent beside a flood of bulk, at the provider's limit.
URGENT_MS = 2_000.0

# Of the last quarter of a mass mailing a worker's peak may be above that of the second, as a part of it.
MEMORY_GROWTH = 0.10

# Throughput with 64 partitions, as a part of what it is with 4; one worker a role.
FLAT = 0.9

# New rows a second into the partitioned table, however many it has.
ROWS_PER_S = 50_000
