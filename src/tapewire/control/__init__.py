"""Service Control Plane (SCP): what serves people's browsers beside the stream itself."""
