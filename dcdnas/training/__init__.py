"""Training: the loop shared by searches and full trainings, augmentation, checkpoints, and guards against failing trainings."""
