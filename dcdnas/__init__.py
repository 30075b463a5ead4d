"""dcdnas: search for efficient CNNs made of dynamic convolutions."""
