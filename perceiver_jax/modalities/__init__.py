"""What can be done to one kind of input before the model, without parameters: augmentation and normalisation."""
