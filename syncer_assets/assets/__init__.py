"""Asset factories, one concept each. Bodies are thin: they call the engine and report."""
