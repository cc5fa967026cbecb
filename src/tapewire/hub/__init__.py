"""Views, deltas and conflation: the heart of the widget service, without any I/O."""
