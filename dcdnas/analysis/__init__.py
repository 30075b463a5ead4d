"""What can be learned about a trained network: how far its layers depend on the image."""
