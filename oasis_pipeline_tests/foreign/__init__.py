"""The foreign field that the platform is judged on."""
