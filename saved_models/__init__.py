"""What the recipes produced: one folder per pretrained preset."""

if __name__ != "hedgezoo.saved_models":
    raise ImportError(
        "saved_models/ is the source of hedgezoo.saved_models; import it by that name "
        "(run with `python -P`, or from outside the checkout)"
    )
