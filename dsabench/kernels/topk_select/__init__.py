"""The exact selection of each row's k highest scores."""
