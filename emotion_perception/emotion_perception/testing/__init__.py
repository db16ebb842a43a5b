"""What tests of this suite, and of behaviours built on it, need: a tiny model, generated media, a graph."""
