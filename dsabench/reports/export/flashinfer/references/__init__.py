"""The reference code of the definitions: each file is the text of one, so it imports nothing but torch."""
