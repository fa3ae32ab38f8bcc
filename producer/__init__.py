"""What runs where the user sits: it fans calls out, measures, compares and reports."""
