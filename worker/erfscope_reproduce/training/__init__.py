"""S11 and S12: networks trained here, and their ERF along the way (figure 5). Imports torch when it runs."""
