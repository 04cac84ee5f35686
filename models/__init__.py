"""Making the models that come with the package: ``make models``."""
