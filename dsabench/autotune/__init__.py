"""Which config: search strategies, the tuning loop, the table of winners."""
