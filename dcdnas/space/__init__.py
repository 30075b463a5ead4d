"""Search spaces: reading space files, the networks that they describe, and the costs of these networks."""
