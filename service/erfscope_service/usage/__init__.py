"""What a tenant stores, and how much it may."""
