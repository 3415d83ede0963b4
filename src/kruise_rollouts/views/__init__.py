"""Objects in, what a person sees out. Pure; drawing to a terminal belongs to cli/."""
