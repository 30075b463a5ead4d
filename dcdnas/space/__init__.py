"""Search spaces: what a space file says, the networks it describes and what they cost."""
