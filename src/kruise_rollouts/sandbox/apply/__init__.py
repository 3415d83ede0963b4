"""Server-side apply, who owns which field, and the patch types that follow a schema."""
