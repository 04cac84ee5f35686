"""Changes of the service's own tables, made by Django's makemigrations."""
