"""The classifier: a backbone by name, where its weights come from, and the checkpoint that carries its facts."""
