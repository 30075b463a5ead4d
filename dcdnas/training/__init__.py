"""Training: the loop that searches and full trainings share, augmentation, and what keeps a training healthy."""
