"""Places to run: a transport brings bytes there, a scheduler's dialect says what to send."""
