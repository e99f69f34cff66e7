"""Adapter over a ring of views: a small network that combines neighbouring views, on top of a frozen backbone.

Houlsby et al., "Parameter-Efficient Transfer Learning for NLP" (ICML 2019), introduced adapters: a projection to few
channels, a nonlinearity and a projection back, added to what a frozen network computes.
"""

from __future__ import annotations

from torch import Tensor, nn

NEIGHBOURHOOD = 3
"""Views that the adapter reads at each place of the ring: a view and its two neighbours."""


class RingAdapter(nn.Module):
    """View pooling with trained weights: the mean over the views, plus what the adapter finds in neighbouring views.

    The views are a ring: each has two neighbours, and the last one is next to the first. The features of each view are
    projected to ``width`` channels. A convolution over the ring reads each view together with its neighbours. After a
    ReLU, the largest value of each channel over the ring is kept, and the channels are projected back to the features.
    A cyclic shift of the views, as by a turn of the shape about its up axis, therefore changes nothing; another order
    of the views does. A single view is its own neighbour.

    The projection back starts at zero, so that an untrained adapter is mean pooling.

    Args:
        features: Number of features of a view, D.
        width: Number of channels of the convolution.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.down = nn.Linear(features, width)
        self.ring = nn.Conv1d(width, width, NEIGHBOURHOOD, padding=NEIGHBOURHOOD // 2, padding_mode="circular")
        self.activation = nn.ReLU()
        self.up = nn.Linear(width, features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Combine D features of each of V views of B shapes, (B, V, D), into D features of each shape, (B, D)."""
        found = self.activation(self.ring(self.down(features).transpose(1, 2)))  # (B, width, V)
        combined: Tensor = features.mean(dim=1) + self.up(found.amax(dim=2))
        return combined
