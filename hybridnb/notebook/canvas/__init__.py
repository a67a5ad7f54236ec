"""The live canvas: what a browser shows of a workflow in the place of its card's picture, and what a person does there.

Canvas itself is in `widget`, whose imports take a while: only who makes a canvas loads it.
"""
