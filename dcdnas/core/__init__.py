"""Plain values that every other folder shares: architectures, budgets, costs, trials. No torch here."""
