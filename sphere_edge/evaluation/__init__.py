"""How far one model's predictions are from another's: perplexity, KL divergence, agreement."""
