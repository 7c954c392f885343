"""S20: how much of an object an ERF should hold: networks of equal arithmetic on scenes whose objects have one size."""
