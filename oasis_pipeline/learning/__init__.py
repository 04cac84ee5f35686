"""What is learned from cards: features, classifiers, their evaluation, and model artifacts.

Belongs here: everything between cards in shape form and calibrated probabilities, as pure functions on arrays. Does not
belong here: where cards, labels and models are stored, and when a model is trained (that is the graph's business).
"""
