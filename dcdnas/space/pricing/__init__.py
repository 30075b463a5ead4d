"""What a space costs, what budgets leave of it, and draws from within them."""
