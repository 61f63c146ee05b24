"""The processes of a run: who holds it, who asks, and how each knows that the others live."""
