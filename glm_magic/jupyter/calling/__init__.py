"""Functions of the notebook that the model asks for: called, listened to, interrupted."""
