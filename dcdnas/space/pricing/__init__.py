"""The costs of a space's networks, the share of a space within budgets, and random draws from it."""
