"""Code that runs inside the training container."""
