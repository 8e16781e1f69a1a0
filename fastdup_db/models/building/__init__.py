"""How the bundled models are made from public weights. Nothing here is imported when they are used."""
