"""Vectors to neighbours: adapting them to the collection, comparing and indexing them, checking pairs."""
