"""Ways to run the trainings of a search: in this process, in worker processes, or on Ray."""
