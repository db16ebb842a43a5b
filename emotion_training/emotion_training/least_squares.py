"""Linear layers fitted in closed form, and which of their inputs they can do without."""

import torch
from torch import Tensor

REMOVED_SHARE = 0.15  # of what is to go, in a round of the elimination
RIDGE = 1e-3  # of the mean variance of an input


class LeastSquares:
    """Weights and bias by which a linear layer says `outputs` of `inputs`, by their moments over all rows added."""

    def __init__(self, inputs: int, outputs: int):
        self.rows = 0
        self.input_sum = torch.zeros(inputs, dtype=torch.float64)
        self.output_sum = torch.zeros(outputs, dtype=torch.float64)
        self.squares = torch.zeros(inputs, inputs, dtype=torch.float64)
        self.products = torch.zeros(inputs, outputs, dtype=torch.float64)

    def add(self, inputs: Tensor, outputs: Tensor) -> None:
        """(N, I), (N, O)."""
        self.rows += len(inputs)
        self.input_sum += inputs.sum(dim=0)
        self.output_sum += outputs.sum(dim=0)
        self.squares += inputs.T @ inputs
        self.products += inputs.T @ outputs

    def fit(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Weights float32 (O, K) of the inputs at `kept` (K,), and the bias (O,)."""
        covariance, products = self._centred()
        weights = torch.linalg.solve(covariance[kept][:, kept], products[kept])  # (K, O)
        bias = self.output_sum / self.rows - self.input_sum[kept] / self.rows @ weights
        return weights.T.to(torch.float32), bias.to(torch.float32)

    def most_needed(self, groups: Tensor, count: int) -> Tensor:
        """The `count` groups of inputs that say most, positions in order.

        groups: positions of the inputs of each, (G, size). Those whose removal adds least to the squared error, the
        others fitted anew, go first (Hassibi and Stork 1993), a share of them in a round.
        """
        covariance, products = self._centred()
        left = torch.arange(len(groups))
        while len(left) > count:
            places = groups[left].flatten()
            inverse = torch.linalg.inv(covariance[places][:, places])
            weights = (inverse @ products[places]).unflatten(0, (len(left), -1))  # (G, size, O)
            size = groups.shape[1]
            rows = torch.arange(len(places)).unflatten(0, (len(left), size))  # (G, size)
            own = inverse[rows.unsqueeze(2), rows.unsqueeze(1)]  # (G, size, size)
            added = (weights * torch.linalg.solve(own, weights)).sum(dim=(1, 2))  # (G,)
            going = max(1, round(REMOVED_SHARE * (len(left) - count)))
            left = left[added.argsort(stable=True)[going:].sort().values]
        return left

    def _centred(self) -> tuple[Tensor, Tensor]:
        """Covariance of the inputs with the ridge, (I, I), and with the outputs, (I, O)."""
        mean = self.input_sum / self.rows
        covariance = self.squares / self.rows - torch.outer(mean, mean)
        covariance += RIDGE * covariance.diagonal().mean() * torch.eye(len(mean), dtype=torch.float64)
        return covariance, self.products / self.rows - torch.outer(mean, self.output_sum / self.rows)
