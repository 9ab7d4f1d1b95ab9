"""The digits network in PyTorch: small, yet with the operators that networks are made of.

Layers, on one 8x8 grey image: convolution, depthwise and pointwise convolution, residual addition,
maximum pooling, strided convolution (asymmetric SAME padding), global average pooling, fully
connected, softmax.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

SEED = 20240501
HELD_OUT = 200
STEM_CHANNELS = 16
BODY_CHANNELS = 32
CLASSES = 10


class DigitsNetwork(nn.Module):
    """Maps images [N, 1, 8, 8] in [0, 1] to class probabilities [N, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, STEM_CHANNELS, 3, padding=1)
        self.depthwise = nn.Conv2d(STEM_CHANNELS, STEM_CHANNELS, 3, padding=1, groups=STEM_CHANNELS)
        self.pointwise = nn.Conv2d(STEM_CHANNELS, STEM_CHANNELS, 1)
        self.body = nn.Conv2d(STEM_CHANNELS, BODY_CHANNELS, 3, stride=2)
        self.classifier = nn.Linear(BODY_CHANNELS, CLASSES)

    def activations(self, image: Tensor) -> dict[str, Tensor]:
        """Every activation by name: what calibration for TFLite looks at."""
        stem = functional.relu(self.stem(image))
        depthwise = functional.relu(self.depthwise(stem))
        pointwise = self.pointwise(depthwise)
        residual = functional.relu(stem + pointwise)
        pooled = functional.max_pool2d(residual, 2)
        # TFLite's SAME padding for stride 2 on an even size: nothing before, one after.
        body = functional.relu(self.body(functional.pad(pooled, (0, 1, 0, 1))))
        features = body.mean(dim=(2, 3))
        logits = self.classifier(features)
        return {
            "image": image,
            "stem": stem,
            "depthwise": depthwise,
            "pointwise": pointwise,
            "residual": residual,
            "body": body,
            "logits": logits,
        }

    def forward(self, image: Tensor) -> Tensor:
        """Class probabilities."""
        return functional.softmax(self.activations(image)["logits"], dim=1)

    def parameters_by_layer(self) -> dict[str, np.ndarray]:
        """``stem.weight`` [out, in, h, w], ``stem.bias`` [out] and so on, as float32 arrays."""
        return {name: value.detach().numpy() for name, value in self.state_dict().items()}


def load_split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Train images and labels, then held-out ones; images are float32 [N, 1, 8, 8] in [0, 1]."""
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[:, None]
    order = np.random.default_rng(SEED).permutation(len(images))
    images, labels = images[order], digits.target[order].astype(np.int64)
    return images[HELD_OUT:], labels[HELD_OUT:], images[:HELD_OUT], labels[:HELD_OUT]


def train(images: np.ndarray, labels: np.ndarray, epochs: int = 120) -> DigitsNetwork:
    """The trained network; the same on every run of one PyTorch version."""
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(mode=True)
    torch.set_num_threads(1)
    network = DigitsNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(64):
            # Shifts by up to one pixel: the only augmentation that 8x8 digits bear.
            shift = (int(torch.randint(-1, 2, ())), int(torch.randint(-1, 2, ())))
            logits = network.activations(torch.roll(x[batch], shift, dims=(2, 3)))["logits"]
            loss = functional.cross_entropy(logits, y[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    return network.eval()
