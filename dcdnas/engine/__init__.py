"""Runs a search: what is asked, what is trained, what is remembered.

In the order in which a search passes through them:

- `planning`: from what a person said to a `SearchConfig` (what is searched) and an `Execution` (how it is run).
- `prepare` makes the run's folder, `run` searches it under a `lock`; `store` is its memory, and `recovery` reads what an earlier
  session left.
- `loop` asks, prices, hands out trainings and takes their ends. It asks `proposals`, which asks `study`, the memory of one of the
  `samplers`; `standing` has the counts, the front and the best; `halving` stops trainings early; `confirm` trains the top again.
- `executors` run each `job`, and `proxy_training` is what runs: inline, in worker processes, or on Ray.
- `progress` and `trackers` (told by `tracking`) show how it goes; `signals` is how it is asked to stop.
"""
