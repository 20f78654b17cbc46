"""Values on the screen: live widgets, static outputs, a terminal, a form."""
