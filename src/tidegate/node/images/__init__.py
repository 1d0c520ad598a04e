"""Images of the process runtime: directories with a manifest, content-addressed when unpacked."""
