"""Runs a search: proposes networks, prices and trains them, and stores every result.

The modules, in the order in which a search passes through them:

- `planning` turns the user's settings into a `SearchConfig` (what is searched) and an `Execution` (how it is run).
- `prepare` creates the run's folder and `run` searches it under a lock. `store` keeps the trials on disk, and `recovery` restores
  those of an earlier session.
- `loop` asks for networks, prices them, hands out trainings and records their results. It asks `proposals`, which asks `study`,
  the memory of one of the `samplers`. `standing` keeps the counts, the front and the best trial, `halving` stops trials early,
  and `confirm` retrains the best networks on fresh seeds.
- `executors` run each `job` inline, in worker processes or on Ray. A job runs `proxy_training`.
- `progress` and `trackers` (notified by `tracking`) report the progress; `signals` receives requests to stop.
"""
