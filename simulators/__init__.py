"""Stand-ins for the providers: processes that speak the real protocols, on the loopback, with a ledger and faults."""
