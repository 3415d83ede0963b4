"""The kinds we read, as frozen partial Structs, and what follows from their shape alone. No decisions here."""
