"""The names of genzoo's own metrics, for a shell that completes them: no torch is imported."""

BUILT_IN = (
    *("fd", "kd", "precision", "recall", "class_score", "mode_kl", "density", "coverage"),
    *(
        "energy",
        "confident",
        "sharpness",
        "nll",
        "elbo",
        "iwae",
        "nll_estimate",
        "parzen",
        "nearest_train_features",
    ),
    *("nearest_train_pixels", "label_accuracy", "intra_class_diversity", "translation_accuracy"),
    *("translation_psnr", "probe", "probe_400", "logistic", "inpainting_psnr", "inpainting_ssim"),
)
# Of the original Inception network.
INCEPTION = ("fid", "kid", "is")
