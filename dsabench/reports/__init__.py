"""Figures and HTML, from journals alone; nothing here measures."""
