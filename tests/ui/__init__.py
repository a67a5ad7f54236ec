"""What a person sees: a real JupyterLab, a real browser, and notebooks in them."""
