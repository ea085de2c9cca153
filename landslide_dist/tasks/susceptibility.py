"""The susceptibility task: probability of a landslide in each pixel."""

from torch import Tensor

from landslide_dist.tasks.losses import nll_sum


class SusceptibilityTask:
    """Loss and prediction of the LACNN paper (sections 4.1 and 4.2)."""

    def loss(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of the negative log-likelihood, and number of labelled pixels.

        Args:
            logits: Of any shape.
            target: Labels of that shape; 255 does not count.
        """
        return nll_sum(logits, target)

    def predict(self, logits: Tensor) -> Tensor:
        """Probabilities, float32, shape of ``logits``."""
        return logits.float().sigmoid()
