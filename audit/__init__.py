"""What `make audit` looks at; see ``__main__``."""
