"""Pure folds over events, one file each."""
