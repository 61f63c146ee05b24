"""Ablations: the same samples asked of several arms, and what each arm loses or gains against one of them."""
