"""Statistics on counts: survival, sBG, BG/NBD, Gamma-Gamma and intervals; no domain words, no I/O."""
