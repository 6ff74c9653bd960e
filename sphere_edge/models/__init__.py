"""Text architectures as Relax modules: one family per file, the same outline in each."""
