"""S21 … S28: what others found after the article, beside what is measured here."""
