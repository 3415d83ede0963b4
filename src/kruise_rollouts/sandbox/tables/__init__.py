"""Tables as kubectl prints them: the columns of every kind."""
