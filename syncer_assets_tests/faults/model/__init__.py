"""A model of the whole protocol: the engine's own code between a simulated source and a simulated warehouse."""
